"""Real faults against real processes: signals, kills inside a save, full and read-only disks, two writers.

`python tests/test_faults.py 100` kills a hundred times, as BUILD_NOTES.md reports; CI kills 26 times.
"""

import concurrent.futures
import contextlib
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time

import pytest
from conftest import command, make_arrays, needs_mnist, prepared_mnist, small_flags, start
from test_checkpoint import assert_same_run, contents, newest, steps

pytestmark = pytest.mark.slow

PHASES = {
    "loading": ("data", "load"),
    "first compilation": ("loop", "build_train_steps"),
    "training": ("loop", "_check_finite"),
    "evaluation": ("loop", "evaluate"),
    "saving": ("run", "save"),
}
# Runs the command with one function announcing itself on stderr, then taking 0.3 s longer.
ANNOUNCE = """
import importlib, sys, time
from mlp_tf import config, door, train
door.import_tensorflow()
module = importlib.import_module("mlp_tf." + sys.argv[1])
real, calls = getattr(module, sys.argv[2]), []
def announcing(*arguments, **named):
    calls.append(1)
    if len(calls) == int(sys.argv[3]):
        print("NOW", file=sys.stderr, flush=True)
        time.sleep(0.3)
    return real(*arguments, **named)
setattr(module, sys.argv[2], announcing)
sys.exit(door.enter(train.main, train.__doc__, config.define_flags, ["train", *sys.argv[4:]]))
"""


@pytest.fixture(scope="module")
def reference(npz, tmp_path_factory):
    """The small run, never interrupted."""
    folder = tmp_path_factory.mktemp("reference") / "run"
    assert command("mlp_tf.train", *small_flags(npz, folder)).code == 0
    return folder


@pytest.fixture(scope="module")
def two_epochs_once(npz, tmp_path_factory):
    folder = tmp_path_factory.mktemp("two_epochs") / "run"
    assert command("mlp_tf.train", *small_flags(npz, folder, epochs=2)).code == 0
    return folder


@pytest.fixture
def two_epochs(two_epochs_once, tmp_path):
    """The small run after two of its three epochs."""
    return shutil.copytree(two_epochs_once, tmp_path / "run")


def interrupt(phase, call, number, flags):
    """Sends a signal in a phase of a run: (exit code, seconds until it ended, stderr)."""
    words = [sys.executable, "-c", ANNOUNCE, *PHASES[phase], str(call), *flags]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr.readline() == "NOW\n"
    sent = time.monotonic()
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    return process.returncode, time.monotonic() - sent, err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("phase", PHASES)
def test_a_signal_ends_every_phase_within_2_s_as_documented_and_resumes(small, reference, tmp_path, phase, number):
    call = {"training": 3, "saving": 2}.get(phase, 1)
    code, seconds, err = interrupt(phase, call, number, small())
    assert code == 128 + number
    assert seconds < 2
    [line] = err.strip().splitlines()
    assert "to go on: python -m mlp_tf.train --hidden=8,4" in line
    assert str(tmp_path / "run") in line
    assert command("mlp_tf.train", *small()).code == 0
    assert_same_run(tmp_path / "run", reference)


@needs_mnist
@pytest.mark.parametrize("delay", [2.0, 3.5, 4.5, 7.0])
def test_the_default_job_answers_a_signal_within_2_s_whatever_it_is_doing(tmp_path, delay):
    process = start("mlp_tf.train", f"--data_dir={prepared_mnist()}", f"--workdir={tmp_path / 'run'}")
    time.sleep(delay)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=2)
    assert process.returncode == 143
    assert "to go on: python -m mlp_tf.train" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_tensorflow_is_imported_is_answered_too(small, number):
    process = start("mlp_tf.train", *small())
    time.sleep(0.8)
    process.send_signal(number)
    out, err = process.communicate(timeout=2)
    assert (process.returncode, out) == (128 + number, "")
    assert err.startswith("stopped with nothing new to save; to go on: python -m mlp_tf.train")


def test_a_second_signal_ends_at_once_and_leaves_the_folder_sound(small, reference, tmp_path):
    words = [sys.executable, "-c", ANNOUNCE, *PHASES["evaluation"], "2", *small()]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr.readline() == "NOW\n"
    process.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=1) == -signal.SIGTERM
    assert command("mlp_tf.train", *small()).code == 0
    assert_same_run(tmp_path / "run", reference)


def test_a_second_process_is_refused_within_5_s_and_changes_nothing(small, reference, tmp_path):
    flags = small(epochs=100_000)
    first = start("mlp_tf.train", *flags)
    try:
        while not (tmp_path / "run/checkpoints").exists():
            time.sleep(0.05)
            assert first.poll() is None
        begin = time.monotonic()
        second = command("mlp_tf.train", *flags)
        assert time.monotonic() - begin < 5
        assert second.code == 1
        assert "another process is using this folder" in second.error
    finally:
        first.kill()
        first.communicate()
    # The lock has died with its owner.
    assert command("mlp_tf.train", *small(epochs=100_000, hidden="9")).error.count("but 8,4 in the run") == 1


def saving(folder):
    """Whether a save is under way in a run's folder."""
    return (folder / "checkpoints/.mlp_tf-saving").exists()


def kill_inside_save(process, folder):
    """Waits for a save to begin, lets it come to a random point, and kills; whether it was still under way."""
    while process.poll() is None and not saving(folder):
        time.sleep(0.0002)
    time.sleep(random.random() * 0.004)
    process.kill()
    process.communicate()
    return saving(folder)


def position(folder):
    """Steps of a run's newest checkpoint, -1 before there is one."""
    return max(steps(folder), default=-1) if (folder / "checkpoints").exists() else -1


def kill_many_times(folder, flags, kills):
    """Kills runs until `kills` were killed: (kills inside a save, finished folders); none may lose ground."""
    inside, count, finished = 0, 0, [folder / "0"]
    while count < kills:
        before = position(finished[-1])
        process = start("mlp_tf.train", *flags(finished[-1]), stdout=subprocess.DEVNULL)  # a full pipe would hold it
        if inside * 2 <= count:
            inside += kill_inside_save(process, finished[-1])
        else:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=2 + 4 * random.random())
            process.kill()
            process.communicate()
        assert position(finished[-1]) >= before
        if process.returncode == 0:
            finished.append(folder / str(len(finished)))
        else:
            assert process.returncode == -signal.SIGKILL
            count += 1
    return inside, finished


def check_kills(small, tmp_path, kills):
    """Kills runs again and again, two at a time; every folder is readable, none starts anew, all end bit-equal."""

    def flags(folder):
        return small(workdir=folder, epochs=3000, patience=3000, schedule="linear", label_smoothing=0.1)

    def kill_and_finish(lane, count):
        lane.mkdir()
        inside, folders = kill_many_times(lane, flags, count)
        return inside, [(folder, *finish(folder, flags(folder))) for folder in folders]

    # Most of a killed run is its start, on one core.
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        counts = kills // 2, kills - kills // 2
        lanes = list(pool.map(kill_and_finish, [tmp_path / "first", tmp_path / "second"], counts))
    assert command("mlp_tf.train", *flags(tmp_path / "reference")).code == 0
    runs = [run for _, finished in lanes for run in finished]
    for folder, before, outcome in runs:
        assert outcome.code == 0, outcome.err
        assert outcome.err == ""
        if len(before) > 1:  # it went on from where it was saved, so the epochs before are not printed again
            first = re.search(r"^Epoch: (\d+)", outcome.out, re.MULTILINE)
            assert first is None or int(first[1]) > before[-1] // 20
        assert_same_run(folder, tmp_path / "reference")
        assert not [name for name in os.listdir(folder / "checkpoints") if name.startswith(".")]
    return sum(inside for inside, _ in lanes), len(runs)


def finish(folder, flags):
    """Trains a run to its end: the steps of its checkpoints before, and how the command ended."""
    before = steps(folder) if (folder / "checkpoints").exists() else []
    return before, command("mlp_tf.train", *flags)


def test_26_kills_a_third_of_them_inside_a_save_all_end_bit_equal(small, tmp_path):
    inside, _ = check_kills(small, tmp_path, 26)
    assert inside >= 9


def limit_files_to(size):
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.6, 0.9, 0.99])
def test_a_file_size_limit_leaves_the_checkpoint_before_it_usable(small, two_epochs, reference, tmp_path, share):
    size = max(path.stat().st_size for path in newest(tmp_path / "run").iterdir())
    good = contents(newest(tmp_path / "run"))
    outcome = command("mlp_tf.train", *small(), preexec_fn=limit_files_to(int(size * share)))
    assert outcome.code == 1
    if share:
        assert re.search(r"(cannot be saved|cannot be written): .*it needs [\d,]+ bytes", outcome.error)
        assert str(tmp_path / "run") in outcome.error
    else:  # where no byte can be written, TensorFlow itself cannot be imported
        assert "No usable temporary directory" in outcome.error
    assert contents(newest(tmp_path / "run")) == good
    assert command("mlp_tf.train", *small()).code == 0
    leftovers = [path for path in (tmp_path / "run").rglob("*") if path.name.startswith(".")]
    assert leftovers == []
    assert_same_run(tmp_path / "run", reference)


@contextlib.contextmanager
def mounted(folder, options):
    folder.mkdir()
    try:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True)
    except FileNotFoundError:
        done = None
    if os.geteuid() or not done or done.returncode:
        pytest.skip("mounting a tmpfs needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_full_disk_exits_1_and_the_run_goes_on_once_there_is_room(small, two_epochs, reference, tmp_path):
    with mounted(tmp_path / "disk", "size=256k") as disk:
        shutil.copytree(two_epochs, disk / "run")
        filler = disk / "filler"
        with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        outcome = command("mlp_tf.train", *small(workdir=disk / "run"))
        assert outcome.code == 1
        assert "No space left on device" in outcome.error or "cannot be saved" in outcome.error
        filler.unlink()
        assert command("mlp_tf.train", *small(workdir=disk / "run")).code == 0
        assert_same_run(disk / "run", reference)


def test_a_read_only_disk_exits_1_and_changes_nothing(small, two_epochs, tmp_path):
    with mounted(tmp_path / "disk", "size=1m") as disk:
        shutil.copytree(two_epochs, disk / "run")
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        before = contents(disk)
        outcome = command("mlp_tf.train", *small(workdir=disk / "run"))
        assert outcome.code == 1
        assert "Read-only file system" in outcome.error
        assert contents(disk) == before
        fresh = command("mlp_tf.train", *small(workdir=disk / "new"))
        assert fresh.code == 1
        assert "--workdir=" in fresh.error


if __name__ == "__main__":
    import tempfile

    import numpy as np

    folder = pathlib.Path(tempfile.mkdtemp())
    np.savez(folder / "small.npz", **make_arrays())
    report = check_kills(lambda **more: small_flags(folder / "small.npz", **more), folder, int(sys.argv[1]))
    print(f"{sys.argv[1]} kills, {report[0]} of them inside a save, {report[1]} runs, all ended bit-equal")
    shutil.rmtree(folder)

"""Real faults against real processes: signals, two writers, full and read-only disks."""

import contextlib
import dataclasses
import os
import re
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest
from helpers import assert_same_run, command, contents, end_by_signal, newest, read_results, saved, start

pytestmark = pytest.mark.slow

PHASES = {
    "loading": ("mlp_tf.data", "load", 1),
    "first compilation": ("mlp_tf.loop", "compile_steps", 1),
    "training": ("mlp_tf.loop", "check_finite", 3),
    "evaluation": ("mlp_tf.loop", "evaluate", 1),
    "saving": ("mlp_tf.runs.checkpoint", "save", 1),
}
# Runs the command with the nth call of one function announcing itself on stderr, then taking some seconds longer.
ANNOUNCE = """
import importlib, sys, time
from mlp_tf import train
from mlp_tf.cli import command as cli_command, flags, quiet
quiet.import_tensorflow()
module = importlib.import_module(sys.argv[1])
real, calls = getattr(module, sys.argv[2]), []
def announcing(*arguments, **named):
    calls.append(1)
    if len(calls) == int(sys.argv[3]):
        print("NOW", file=sys.stderr, flush=True)
        time.sleep(float(sys.argv[4]))
    return real(*arguments, **named)
setattr(module, sys.argv[2], announcing)
sys.exit(cli_command.run(train.main, train.__doc__, flags.define, ["train", *sys.argv[5:]]))
"""


def start_announcing(module, function, call, flags, seconds=0.3):
    """A process of the train command that is in a call of a function."""
    process = start("-c", ANNOUNCE, module, function, call, seconds, *flags, stdout=subprocess.DEVNULL)
    line = process.stderr.readline()
    if line != "NOW\n":
        process.kill()
        pytest.fail(line)
    return process


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """An .npz of 1,200 color images of 224 x 224."""
    rng, path = np.random.default_rng(0), tmp_path_factory.mktemp("photographs") / "large.npz"
    images, labels = rng.integers(0, 256, (1200, 224, 224, 3), np.uint8), np.arange(1200) % 3
    np.savez(path, x_train=images, y_train=labels, x_test=images[:30, ::-1], y_test=labels[:30])
    return path


@pytest.mark.parametrize(
    ("place", "setting", "saves"),
    [
        (("mlp_tf.data.feed", "distort", 2), "--elastic=1", True),
        (("mlp_tf.data.feed", "_upright", 1), "--deskew", False),
    ],
)
def test_a_signal_is_answered_within_2_s_while_large_images_move(small, photographs, tmp_path, place, setting, saves):
    flags = small(dataset=photographs, validation_size=0, hidden="4", epochs=1000)

    def start_moving():
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        process = start_announcing(*place, [*flags, setting])
        time.sleep(0.5)
        return process

    code, err = end_by_signal(signal.SIGTERM, 2, start_moving)
    assert code == 143
    assert err.startswith("stopped and saved" if saves else "stopped with nothing new to save")
    assert bool(list((tmp_path / "run").glob("checkpoints/step*"))) == saves


@pytest.mark.parametrize(
    ("phase", "number"),
    [*((phase, signal.SIGTERM) for phase in PHASES), *((p, signal.SIGINT) for p in ("training", "saving"))],
)
def test_a_signal_ends_every_phase_within_2_s_and_the_run_resumes(train, small, whole_run, tmp_path, phase, number):
    def start_phase():
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        return start_announcing(*PHASES[phase], small())

    code, err = end_by_signal(number, 2, start_phase)
    assert code == 128 + number
    [line] = err.strip().splitlines()
    assert "to resume: python -m mlp_tf.train --" in line
    assert f"--workdir={tmp_path / 'run'}" in line
    assert not (tmp_path / "run/results.json").exists()
    assert train(*small()).code == 0
    assert_same_run(tmp_path / "run", whole_run)


def test_a_second_signal_ends_at_once_and_leaves_the_folder_sound(train, small, whole_run, tmp_path):
    process = start_announcing("mlp_tf.loop", "evaluate", 2, small(), seconds=50)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=40) == -signal.SIGTERM  # after the call it would be 143
    assert train(*small()).code == 0
    assert_same_run(tmp_path / "run", whole_run)


def test_a_second_process_is_refused_at_once_and_changes_nothing(train, small, tmp_path):
    flags = small(epochs=100_000)
    first = start("mlp_tf.train", *flags, stdout=subprocess.DEVNULL)  # a full pipe would hold it
    try:
        while not (tmp_path / "run/checkpoints").exists():
            time.sleep(0.05)
            assert first.poll() is None
        second = command("mlp_tf.train", *flags)
        assert second.code == 1
        assert "another process is using this folder" in second.error
        assert first.poll() is None
    finally:
        first.kill()
        first.communicate()
    # The lock has died with its owner.
    assert train(*small(epochs=100_000, hidden="9")).error.count("but 8,4 in the run") == 1


@pytest.fixture(scope="module")
def two_epoch_run_once(live, config, tmp_path_factory):
    """What `two_epoch_run` copies."""
    folder = tmp_path_factory.mktemp("two_epochs") / "run"
    live(dataclasses.replace(config, epochs=2), folder)
    return folder


@pytest.fixture
def two_epoch_run(two_epoch_run_once, tmp_path):
    """The small run after two of its three epochs."""
    return shutil.copytree(two_epoch_run_once, tmp_path / "run")


@pytest.mark.parametrize("share", [0.0, 0.6, 0.99])
def test_a_file_size_limit_leaves_the_checkpoint_before_it_usable(train, small, two_epoch_run, whole_run, share):
    size = max(path.stat().st_size for path in newest(two_epoch_run).iterdir())
    good = contents(newest(two_epoch_run))
    cold = not share  # where TensorFlow cannot be imported
    outcome = command("mlp_tf.train", *small(), file_bytes=int(size * share), cold=cold)
    assert outcome.code == 1
    if share:
        assert re.search(r"(cannot be saved|cannot be written): .*it needs [\d,]+ bytes", outcome.error)
        assert str(two_epoch_run) in outcome.error
    else:  # where no byte can be written, TensorFlow itself cannot be imported
        assert "No usable temporary directory" in outcome.error
    assert contents(newest(two_epoch_run)) == good
    assert train(*small()).code == 0
    assert [path for path in two_epoch_run.rglob("*") if path.name.startswith(".")] == []
    assert_same_run(two_epoch_run, whole_run)


@contextlib.contextmanager
def mounted(folder, options):
    folder.mkdir(exist_ok=True)
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


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ([], r"checkpoints/step-0000000060\.003 cannot be saved: "),
        (["--tensorboard"], "tensorboard cannot be written: "),
    ],
)
def test_a_full_disk_exits_1_and_the_run_goes_on_once_there_is_room(
    train, small, two_epoch_run_once, whole_run, tmp_path, more, what
):
    with mounted(tmp_path / "disk", "size=256k") as disk:
        shutil.copytree(two_epoch_run_once, disk / "run")
        filler = disk / "filler"
        with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        outcome = train(*small(workdir=disk / "run"), *more)
        assert outcome.code == 1
        assert re.search(f"^error: {disk}/run/{what}.*No space left on device.*; make room or access, ", outcome.error)
        filler.unlink()
        assert train(*small(workdir=disk / "run")).code == 0
        assert_same_run(disk / "run", whole_run)


def test_an_old_checkpoint_that_cannot_be_removed_is_a_warning(train, small, two_epoch_run, monkeypatch):
    monkeypatch.setattr("mlp_tf.runs.run.SAVE_EVERY", 0)  # it saves after each chunk of steps
    oldest = two_epoch_run / "checkpoints" / saved(two_epoch_run)[0]
    with mounted(oldest, "size=16k"):  # a mount point can be neither renamed nor removed
        outcome = train(*small())
        assert outcome.code == 0
        assert outcome.err.count("WARNING") == 1
        assert f"{oldest}: Device or resource busy; this old checkpoint is no longer needed" in outcome.err
    assert read_results(two_epoch_run)["epochs"] == 3


def test_a_read_only_disk_exits_1_and_changes_nothing(train, small, two_epoch_run_once, tmp_path):
    with mounted(tmp_path / "disk", "size=1m") as disk:
        shutil.copytree(two_epoch_run_once, disk / "run")
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        before = contents(disk)
        outcome = train(*small(workdir=disk / "run"))
        assert outcome.code == 1
        assert "Read-only file system" in outcome.error
        assert contents(disk) == before
        fresh = train(*small(workdir=disk / "new"))
        assert fresh.code == 1
        assert "--workdir=" in fresh.error


def test_memory_that_runs_out_is_a_row_of_a_sweep_which_goes_on(npz, tmp_path):
    # A process of its own, as TensorFlow reads the limit when it first computes: 20 MB are little for 1500,1500.
    few = {**os.environ, "TF_CPU_BFC_MEM_LIMIT_IN_MB": "20"}
    flags = [f"--dataset={npz}", "--batch_size=10", "--seeds=1", "--epochs=1", f"--workdir={tmp_path / 'sweep'}"]
    outcome = command("mlp_tf.sweep", *flags, "--hidden=1500,1500", "--hidden=4", env=few)
    assert outcome.code == 1
    assert "failed: out of memory (OOM when allocating tensor " in outcome.out
    assert "; give fewer units, a smaller --batch_size or fewer examples; " in outcome.out
    assert (tmp_path / "sweep/hidden=4/seed-0/results.json").exists()

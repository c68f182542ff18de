"""Runs that are killed again and again, also inside a save, end as if they never had been.

`python tests/runs/test_kills.py 100` kills a hundred times, as BUILD_NOTES.md reports; CI kills 5 times.
"""

import concurrent.futures
import contextlib
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from helpers import assert_same_run, command, make_arrays, small_flags, start, steps

# The train command, saving many times a second. So kills meet old and new checkpoints, as in a run of hours.
OFTEN = """
from mlp_tf import train
from mlp_tf.cli import command
from mlp_tf.runs import run
run.SAVE_EVERY = 10
run.FIRST_SAVE = 0.001
command.end(command.run(train.main, train.__doc__, train.define_flags))
"""


def flags_of(npz, folder):
    """Flags of a run of about two seconds."""
    return small_flags(npz, folder, epochs=500, patience=500, schedule="linear", label_smoothing=0.1)


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


def kill_many_times(npz, lane, kills):
    """Kills runs `kills` times: (kills inside a save, folders, the last unfinished); none may lose ground."""
    inside, count, folders = 0, 0, [lane / "0"]
    while count < kills:
        before = position(folders[-1])
        # A full pipe would hold it.
        process = start("-c", OFTEN, *flags_of(npz, folders[-1]), stdout=subprocess.DEVNULL)
        if inside * 2 <= count:
            inside += kill_inside_save(process, folders[-1])
        else:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=0.5 + 2 * random.random())
            process.kill()
            process.communicate()
        assert position(folders[-1]) >= before
        if process.returncode == 0:
            folders.append(lane / str(len(folders)))
        else:
            assert process.returncode == -signal.SIGKILL
            count += 1
    return inside, folders


def check_end(npz, folder, reference, train):
    """Trains a run to its end: it is readable, does not start anew, and ends bit-equal."""
    before = steps(folder) if (folder / "checkpoints").exists() else []
    outcome = train(*flags_of(npz, folder))
    assert outcome.code == 0, outcome.err
    assert outcome.err == ""
    if len(before) > 1:  # it went on from where it was saved, so the epochs before are not printed again
        first = re.search(r"^Epoch: (\d+)", outcome.out, re.MULTILINE)
        assert first is None or int(first[1]) > before[-1] // 20
    assert_same_run(folder, reference)
    assert not [name for name in os.listdir(folder / "checkpoints") if name.startswith(".")]


@pytest.mark.slow
def test_of_5_kills_2_are_inside_a_save_and_all_runs_end_bit_equal(train, npz, tmp_path):
    inside, folders = kill_many_times(npz, tmp_path, 5)
    assert inside >= 2
    assert train(*flags_of(npz, tmp_path / "reference")).code == 0
    for folder in folders:
        check_end(npz, folder, tmp_path / "reference", train)


def kill_in_two_lanes(folder, kills):
    """Kills in two threads, as most of a killed run is its start, on one core: (kills inside a save, runs)."""
    import numpy as np

    def train(*flags):
        return command("mlp_tf.train", *flags)

    npz, lanes, reference = folder / "small.npz", [folder / "first", folder / "second"], folder / "reference"
    np.savez(npz, **make_arrays())
    assert train(*flags_of(npz, reference)).code == 0
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        killed = list(pool.map(kill_many_times, [npz, npz], lanes, [kills // 2, kills - kills // 2]))
    runs = [run for _, folders in killed for run in folders]
    for run in runs:
        check_end(npz, run, reference, train)
    return sum(inside for inside, _ in killed), len(runs)


if __name__ == "__main__":
    import tempfile

    folder = pathlib.Path(tempfile.mkdtemp())
    inside, runs = kill_in_two_lanes(folder, int(sys.argv[1]))
    print(f"{sys.argv[1]} kills, {inside} of them inside a save, {runs} runs, all ended bit-equal")
    shutil.rmtree(folder)

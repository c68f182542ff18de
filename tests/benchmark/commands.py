"""Seconds and memory of whole commands, from start to exit: mlp_tf's `train` and a Keras script that does the same.

Each trains 784-256-256-10 for 15 epochs on prepared MNIST, evaluates after each epoch, and tests at the end. They take
turns, each in a process of its own. Also how long `train` takes until training begins. Run as a script, this file is
the process that starts a command and times it.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

from common import environment, show, spread

KERAS_COMMAND = pathlib.Path(__file__).with_name("keras_command.py")


class Cost(NamedTuple):
    """What a command took."""

    seconds: float
    peak_mb: int
    seconds_until_training: float | None  # None: it did not say


def measure(rounds):
    """{command: {what it took: median and range}}."""
    costs = {"mlp_tf": [], "keras": []}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            flags = ["--hidden=256,256", "--epochs=15", "--dataset=mnist", f"--workdir={folder}/run"]
            costs["mlp_tf"].append(time_command([sys.executable, "-m", "mlp_tf.train", *flags]))
        costs["keras"].append(time_command([sys.executable, str(KERAS_COMMAND)]))
    return {name: _spreads(values) for name, values in costs.items()}


def _spreads(costs):
    columns = {name: [getattr(cost, name) for cost in costs] for name in Cost._fields}
    return {name: spread(values) for name, values in columns.items() if None not in values}


def time_command(words):
    """Runs a command to its end: its `Cost`."""
    # From a small process, since Linux counts the peak memory of a command's parent as its own.
    parent = [sys.executable, __file__, *words]
    done = subprocess.run(parent, env=environment(), stdout=subprocess.PIPE, text=True, check=True)
    return Cost(*json.loads(done.stdout))


def start_and_time(words):
    """Does what `time_command` says, in this very process."""
    begin = time.perf_counter()
    with subprocess.Popen(
        words, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        training = None
        for line in process.stdout:
            if line.startswith("Model: "):
                training = time.perf_counter() - begin
        _, status, usage = os.wait4(process.pid, 0)  # tells the memory of this child alone
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, words)
    return Cost(time.perf_counter() - begin, usage.ru_maxrss // 1024, training)


def report(figures):
    """Prints a line for each command, and the ratio."""
    print("\nwhole command, start to exit, prepared MNIST, 15 epochs")
    for name, costs in figures.items():
        words = ", ".join(f"{what} {show(values, '.1f')}" for what, values in costs.items())
        print(f"{name}: {words}")
    ratio = figures["mlp_tf"]["seconds"]["median"] / figures["keras"]["seconds"]["median"]
    print(f"mlp_tf / keras: {ratio:.2f}", flush=True)


if __name__ == "__main__":
    print(json.dumps(start_and_time(sys.argv[1:])))

"""Where the seconds of the whole command go: README's first, start to exit, with MNIST prepared.

The command runs in a process of its own, with a clock around each of its parts. Run as a script, this file is that
process.
"""

import contextlib
import importlib
import json
import subprocess
import sys
import tempfile
import time
from unittest import mock

from common import environment, show, spread

IMPORTING = "importing TensorFlow"
# {part: the functions that it is spent in, as (module, name)}
PARTS = {
    "reading the images": [("mlp_tf.data", "load")],
    "compiling the loop": [("mlp_tf.loop", "compile_steps")],
    "evaluating": [("mlp_tf.loop", "evaluate")],
    "saving": [("mlp_tf.runs.checkpoint", "save")],
}
TRAINING, REST, ALL = "taking steps", "all else", "start to exit"


def measure(runs):
    """{part: seconds in each of so many runs}."""
    figures = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            begin = time.perf_counter()
            done = subprocess.run(
                [sys.executable, __file__, f"{folder}/run"], env=environment(), stdout=subprocess.PIPE, check=True
            )
            seconds = time.perf_counter() - begin
        parts = json.loads(done.stdout.splitlines()[-1])
        figures.append({**parts, REST: seconds - sum(parts.values()), ALL: seconds})
    return {part: spread([run[part] for run in figures]) for part in figures[0]}


def report(figures):
    """Prints a table."""
    print("\n| part of the command | seconds |\n|---|---|")
    for part, seconds in figures.items():
        print(f"| {part} | {show(seconds, '.2f')} |", flush=True)


def run_timed(workdir):
    """Runs the command in this very process: {part: seconds}."""
    from mlp_tf import train
    from mlp_tf.cli import command as cli_command
    from mlp_tf.cli import flags, quiet

    seconds, import_tensorflow = dict.fromkeys([IMPORTING, *PARTS], 0.0), quiet.import_tensorflow

    def timed(part, function):
        def call(*arguments):
            begin = time.perf_counter()
            try:
                return function(*arguments)
            finally:
                seconds[part] += time.perf_counter() - begin

        return call

    with contextlib.ExitStack() as stack:

        def import_and_patch():
            timed(IMPORTING, import_tensorflow)()
            for part, functions in PARTS.items():
                for module, name in functions:
                    module = importlib.import_module(module)
                    stack.enter_context(mock.patch.object(module, name, timed(part, getattr(module, name))))

        stack.enter_context(mock.patch.object(quiet, "import_tensorflow", import_and_patch))
        words = ["train", "--hidden=256,256", "--epochs=15", "--dataset=mnist", f"--workdir={workdir}"]
        if cli_command.run(train.main, train.__doc__, flags.define, words):
            raise RuntimeError("the command failed")
    with open(f"{workdir}/results.json") as file:
        return {**seconds, TRAINING: json.load(file)["train_seconds"]}


if __name__ == "__main__":
    from mlp_tf.cli import command as cli_command

    print(json.dumps(run_timed(sys.argv[1])), flush=True)
    cli_command.end(0)  # as the command itself ends

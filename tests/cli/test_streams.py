"""Closed, full and broken stdout and stderr, in real processes: never a traceback, and nothing else is lost."""

import os
import subprocess
import sys

import pytest
from helpers import command, read_results, small_flags, start

from mlp_tf.cli import streams

SHELL = ["bash", "-c"]


# Runs a command as Python starts it where stdout or stderr, its first argument, is closed.
CLOSED = """
import os, runpy, sys
name = sys.argv.pop(1)
os.close(getattr(sys, name).fileno())
setattr(sys, name, None)
runpy.run_module("mlp_tf.train", run_name="__main__", alter_sys=True)
"""
LOST = "error: stdout: {}; the output was lost; everything else is done\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("closed", "code", "err"), [("stderr", 0, ""), ("stdout", 1, LOST.format("Bad file descriptor"))]
)
def test_training_is_done_where_a_stream_is_closed(npz, tmp_path, closed, code, err):
    outcome = command("-c", CLOSED, closed, *small_flags(npz, tmp_path / "run"))
    assert (outcome.code, outcome.err) == (code, err)
    assert read_results(tmp_path / "run")["epochs"] == 3


def test_training_is_done_where_every_stream_is_closed(npz, tmp_path):
    flags = " ".join(f"'{flag}'" for flag in small_flags(npz, tmp_path / "run"))
    # Cold: it is Python that finds them closed.
    done = subprocess.run([*SHELL, f"{sys.executable} -m mlp_tf.train {flags} <&- >&- 2>&-"], timeout=60)
    assert done.returncode == 1  # what it prints was lost
    assert read_results(tmp_path / "run")["epochs"] == 3


def test_training_is_done_where_stdout_is_full(npz, tmp_path):
    with open("/dev/full", "w") as full:
        outcome = command("mlp_tf.train", *small_flags(npz, tmp_path / "run"), stdout=full)
    assert (outcome.code, outcome.err) == (1, LOST.format("No space left on device"))
    assert read_results(tmp_path / "run")["epochs"] == 3


@pytest.mark.slow
def test_training_is_done_where_the_reader_of_stdout_leaves(npz, tmp_path):
    reading, writing = os.pipe()
    process = start("mlp_tf.train", *small_flags(npz, tmp_path / "run"), stdout=writing, stderr=writing)
    os.close(writing)
    with open(reading) as reader:
        assert reader.readline().startswith("Dataset: ")
    assert process.wait(timeout=60) == 141
    assert read_results(tmp_path / "run")["epochs"] == 3


def test_a_reader_that_leaves_ends_a_command_with_141_and_no_word():
    # Cold: it is Python that opens the streams, and complains of them at its end.
    process = start("mlp_tf.train", "--help", cold=True)
    process.stdout.close()
    assert process.wait(timeout=60) == 141
    assert process.stderr.read() == ""


def test_a_mistake_is_exit_1_where_stderr_is_closed_too():
    done = subprocess.run([*SHELL, f"{sys.executable} -m mlp_tf.train --epochs=0 2>&- >&-"], capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")


def test_no_file_gets_the_number_of_a_closed_stream(tmp_path):
    words = "from mlp_tf.cli import streams; streams.open_closed(); print(open('x', 'w').fileno(), file=open('n', 'w'))"
    subprocess.run(
        [*SHELL, f'{sys.executable} -c "{words}" <&- >&- 2>&-'], cwd=tmp_path, check=True, env=in_the_clone()
    )
    assert int((tmp_path / "n").read_text()) > 2


def in_the_clone():
    return {**os.environ, "PYTHONPATH": os.getcwd()}


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_name_that_the_encoding_does_not_have_is_escaped(encoding):
    words = "import sys; from mlp_tf.cli import streams; streams.Stream(sys.stdout).write('ä😀\\udcff')"
    environment = {**in_the_clone(), "PYTHONIOENCODING": encoding, "LC_ALL": "POSIX"}
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, env=environment, check=True)
    assert done.stderr == b""
    assert (
        done.stdout.decode(encoding)
        == {
            "ascii": r"\xe4\U0001f600\udcff",
            "latin-1": r"ä\U0001f600\udcff",
            "utf-8": r"ä😀\udcff",
        }[encoding]
    )


def test_the_code_of_a_command_that_failed_stays(tmp_path):
    with open("/dev/full", "w") as full:
        stream = streams.Stream(full)
        stream.write("x" * 100_000)
        assert streams.exit_code(3, stream) == (3, "")
        assert streams.exit_code(0, stream)[0] == 1

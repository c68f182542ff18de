"""SIGINT and SIGTERM, answered whatever a command is doing; tests/runs/test_faults.py has what they leave behind."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers import ROOT, end_by_signal, needs_mnist, prepared_mnist, start
from PIL import Image

from mlp_tf.cli import command as cli_command
from mlp_tf.cli import signals


def test_handlers_are_given_back():
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    with signals.graceful_stop("advice") as stop:
        assert stop.number() == 0
        assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] != before
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.slow
@needs_mnist
@pytest.mark.parametrize("delay", [0.4, 2.4, 5.4])
def test_the_default_job_answers_a_signal_within_2_s_whatever_it_does(tmp_path, delay):
    def start_job():
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        process = start("mlp_tf.train", f"--data_dir={prepared_mnist()}", f"--workdir={tmp_path / 'run'}")
        time.sleep(delay)
        return process

    code, err = end_by_signal(signal.SIGTERM, 2, start_job)
    assert code == 143
    assert "to resume: python -m mlp_tf.train" in err


def wait_for_the_import(process):
    """Waits until a process imports TensorFlow, which takes a second from the first of its libraries on."""
    while "tensorflow" not in pathlib.Path(f"/proc/{process.pid}/maps").read_text():
        assert process.poll() is None
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_tensorflow_is_imported_is_answered_too(small, tmp_path, number):
    def start_importing():
        process = start("mlp_tf.train", *small(), cold=True, stdout=out)  # a warm one has imported it
        wait_for_the_import(process)
        return process

    with open(tmp_path / "out", "w") as out:
        code, err = end_by_signal(number, 2, start_importing)
    assert (code, (tmp_path / "out").read_text()) == (128 + number, "")
    assert err.startswith("stopped with nothing new to save; to resume: python -m mlp_tf.train")


# How long each takes to be in the middle of its work; 0: TensorFlow is being imported, in a cold process.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "delay", "number"),
    [
        ("evaluate", 0, signal.SIGTERM),
        ("predict", 0, signal.SIGINT),
        *((command, 0.7, signal.SIGINT) for command in ("evaluate", "export", "predict", "plot", "show_data")),
        ("export", 1.5, signal.SIGTERM),
    ],
)
def test_a_signal_ends_every_command_in_one_line(run_folder, tmp_path, command, delay, number):
    folder = shutil.copytree(run_folder, tmp_path / "run")
    for i in range(20):
        Image.fromarray(np.eye(200, dtype=np.uint8) * 200).save(tmp_path / f"{i}.png")
    before = sorted(path.name for path in tmp_path.rglob("*"))
    words = {
        "export": [f"--workdir={folder}", f"--export_dir={tmp_path / 'model'}"],
        "predict": [f"--workdir={folder}", *tmp_path.glob("*.png")],
        "show_data": ["--dataset=mnist_sample", f"--out={tmp_path}"],
    }

    def start_command():
        shutil.rmtree(tmp_path / "model", ignore_errors=True)
        process = start(f"mlp_tf.{command}", *words.get(command, [f"--workdir={folder}"]), cold=not delay)
        time.sleep(delay) if delay else wait_for_the_import(process)
        return process

    code, err = end_by_signal(number, 3, start_command)
    assert "Traceback" not in err, err
    if code == 0:  # it was done before
        return
    assert code == 128 + number
    assert err.splitlines()[-1:] == ["stopped"]
    after = sorted(
        path.name for path in tmp_path.rglob("*") if path.name not in ("samples-small.npz.png", "curves.png")
    )
    assert after == before


# A command in a C function that no signal interrupts, like a sort of many rows: it waits for a lock that it holds.
IN_C = """
import ctypes, sys, threading
from mlp_tf.base import files
from mlp_tf.cli import command, signals
_, folder, kind = sys.argv
lock = ctypes.create_string_buffer(64)
library = ctypes.CDLL(None)
def wait():
    print("NOW", file=sys.stderr, flush=True)
    for _ in range(2):
        library.pthread_mutex_lock(lock)
def main(values):
    if kind == "ends":
        with files.temporary_folder(folder):
            wait()
    with signals.graceful_stop("as before") as stop, files.temporary_folder(folder):
        stop.saves = kind == "saves"
        if stop.saves:
            threading.Timer(1, library.pthread_mutex_unlock, [lock]).start()
        wait()
        return signals.report_stopped(stop, stop.number())
command.end(command.run(main, "", lambda values: None, ["command"]))
"""


@pytest.mark.parametrize(
    ("kind", "line"), [("ends", "stopped\n"), ("waits", "stopped with nothing new to save; as before\n")]
)
def test_a_signal_is_answered_within_2_s_inside_a_c_function(tmp_path, kind, line):
    def start_waiting():
        process = start("-c", IN_C, tmp_path, kind)
        assert process.stderr.readline() == "NOW\n"
        return process

    assert end_by_signal(signal.SIGTERM, 2, start_waiting) == (143, line)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("count", [1, 2])
def test_a_save_follows_a_c_function_in_which_signals_came(tmp_path, count):
    process = start("-c", IN_C, tmp_path, "saves")
    assert process.stderr.readline() == "NOW\n"
    for _ in range(count):
        process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (143, "stopped and saved; as before\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_handler_needs_neither_utf_8_nor_a_stderr_that_can_be_written(number):
    words = "import os, signal; from mlp_tf.cli import signals; os.dup2(os.open('/dev/full', os.O_WRONLY), 2); "
    words += "stop = signals.graceful_stop('\\udcff'); stop.__enter__(); "
    words += f"os.kill(os.getpid(), {int(number)}); signal.pause()"
    done = subprocess.run([sys.executable, "-c", words], timeout=60, cwd=ROOT)
    assert done.returncode == 128 + number


def test_a_command_may_be_called_outside_the_main_thread():
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(cli_command.run, lambda values: 7, "Doc.", lambda values: None, ["command"]).result() == 7

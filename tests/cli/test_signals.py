"""SIGINT and SIGTERM, answered whatever a command is doing; tests/runs/test_faults.py has what they leave behind."""

import os
import signal
import time

import pytest
from helpers import needs_mnist, prepared_mnist, start

from mlp_tf.cli import signals


def test_handlers_are_given_back():
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    with signals.graceful_stop("advice") as stop:
        assert stop.number() == 0
        assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] != before
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.slow
@needs_mnist
@pytest.mark.parametrize("delay", [2.0, 3.5, 4.5, 7.0])
def test_the_default_job_answers_a_signal_within_2_s_whatever_it_does(tmp_path, delay):
    process = start("mlp_tf.train", f"--data_dir={prepared_mnist()}", f"--workdir={tmp_path / 'run'}")
    time.sleep(delay)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=2)
    assert process.returncode == 143
    assert "to go on: python -m mlp_tf.train" in err


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_tensorflow_is_imported_is_answered_too(small, number):
    process = start("mlp_tf.train", *small())
    time.sleep(0.8)
    process.send_signal(number)
    out, err = process.communicate(timeout=2)
    assert (process.returncode, out) == (128 + number, "")
    assert err.startswith("stopped with nothing new to save; to go on: python -m mlp_tf.train")


# How long each takes to be in the middle of its work: TensorFlow is imported after about 1.5 s.
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("delay", [0.7, 2.2])
@pytest.mark.parametrize("command", ["evaluate", "export", "predict", "plot", "show_data"])
def test_a_signal_ends_every_command_in_one_line(run_folder, tmp_path, command, delay, number):
    words = {
        "export": [f"--workdir={run_folder}", f"--export_dir={tmp_path / 'model'}"],
        "predict": [f"--workdir={run_folder}", "/dev/null"],
        "show_data": ["--dataset=mnist_sample", f"--out={tmp_path}"],
    }
    process = start(f"mlp_tf.{command}", *words.get(command, [f"--workdir={run_folder}"]))
    time.sleep(delay)
    process.send_signal(number)
    _, err = process.communicate(timeout=3)
    if process.returncode in (0, 1):  # it was done before
        return
    assert process.returncode == 128 + number
    assert err.splitlines()[-1:] == ["stopped"]
    assert "Traceback" not in err
    assert [name for name in os.listdir(tmp_path) if name != "samples.png"] == []

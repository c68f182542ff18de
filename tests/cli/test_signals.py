"""SIGINT and SIGTERM, answered whatever a command is doing; tests/runs/test_faults.py has what they leave behind."""

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

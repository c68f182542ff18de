"""`python -m mlp_tf`: the list of the commands."""

import subprocess
import sys

import pytest
from helpers import ROOT, command

from mlp_tf import __main__ as listing
from mlp_tf import train
from mlp_tf.cli import command as cli_command

COMMANDS = {path.stem for path in (ROOT / "mlp_tf").glob("[!_]*.py") if "if __name__ ==" in path.read_text()}


def refusal(capsys, *words):
    assert cli_command.run(listing.main, "", lambda values: None, ["mlp_tf", "--", *words], takes_words=True) == 1
    out, err = capsys.readouterr()
    assert out == ""
    return err


def test_each_command_has_a_line_that_says_what_it_does():
    outcome = command("mlp_tf")
    assert (outcome.code, outcome.err) == (0, "")
    lines = [line.split(maxsplit=3) for line in outcome.out.splitlines() if line.startswith("    python -m mlp_tf.")]
    assert {name.removeprefix("mlp_tf.") for _, _, name, _ in lines} == COMMANDS
    assert train.__doc__.splitlines()[0] in [text for *_, text in lines]
    assert outcome.out.endswith("\nEach has --help.\n")


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_is_the_list(flag):
    assert command("mlp_tf", flag) == command("mlp_tf")


def test_the_list_is_answered_without_tensorflow():
    words = [sys.executable, "-X", "importtime", "-m", "mlp_tf"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert not imported & {"tensorflow", "numpy", "matplotlib"}


def test_a_command_given_as_a_word_is_told_the_right_form():
    outcome = command("mlp_tf", "train", "--epochs=3")
    assert outcome.code == 1
    assert outcome.error == "error: train: give the command as python -m mlp_tf.train"


@pytest.mark.parametrize("word", ["trian", "__main__", "loop", "--epochs=3"])
def test_an_unknown_word_is_told_the_commands(capsys, word):
    err = refusal(capsys, word, "--help")
    assert err.startswith(f"error: {word}: no such command; give python -m mlp_tf.COMMAND")
    assert err.endswith(f"one of {', '.join(sorted(COMMANDS))}\n")
    assert err.count("\n") == 1

"""`python -m mlp_tf`: the list of the commands; and commands started in every other way."""

import ast
import os
import subprocess
import sys

import pytest
from helpers import ROOT
from helpers import command as any_command

from mlp_tf import __main__ as listing
from mlp_tf.__main__ import COMMANDS
from mlp_tf.cli import command as cli_command

PACKAGE = ROOT / "mlp_tf"


def refusal(capsys, *words):
    assert cli_command.run(listing.main, "", lambda values: None, ["mlp_tf", "--", *words], takes_words=True) == 1
    out, err = capsys.readouterr()
    assert out == ""
    return err


def command(*words):
    """Runs a command cold, as this file is about how commands start."""
    return any_command(*words, cold=True)


def python(*words, cwd=ROOT):
    """What Python prints on stdout, started in a folder."""
    return subprocess.run([sys.executable, *words], cwd=cwd, capture_output=True, text=True, check=True).stdout


def test_the_table_has_exactly_the_modules_with_a_main():
    def has_main(path):
        return any(
            isinstance(node, ast.FunctionDef) and node.name == "main" for node in ast.parse(path.read_text()).body
        )

    assert COMMANDS.keys() == {path.stem for path in PACKAGE.glob("[!_]*.py") if has_main(path)}


def test_the_list_has_a_line_for_each_command_in_79_columns():
    outcome = command("mlp_tf")
    assert (outcome.code, outcome.err) == (0, "")
    assert max(map(len, outcome.out.splitlines())) <= 79
    lines = [line.split(maxsplit=3) for line in outcome.out.splitlines() if line.startswith("    python -m mlp_tf.")]
    assert {name.removeprefix("mlp_tf."): text for _, _, name, text in lines} == COMMANDS
    assert outcome.out.endswith("\nEach has --help.\n")


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_is_the_list(flag):
    assert command("mlp_tf", flag) == command("mlp_tf")


def test_the_list_is_answered_without_tensorflow():
    words = [sys.executable, "-X", "importtime", "-m", "mlp_tf"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert not imported & {"tensorflow", "numpy", "matplotlib"}


def test_a_command_given_as_a_word_runs():
    assert command("mlp_tf", "train", "--help") == command("mlp_tf.train", "--help")
    outcome = command("mlp_tf", "train", "--epochs=0")
    assert (outcome.code, outcome.error) == (1, "error: --epochs=0: must be an integer from 1 to 100000")
    assert command("mlp_tf", "predict", "x.png").error == command("mlp_tf.predict", "x.png").error


@pytest.mark.parametrize("word", ["trian", "__main__", "loop", "--epochs=3"])
def test_an_unknown_word_is_told_the_commands(capsys, word):
    assert refusal(capsys, word, "--help") == f"error: {word}: no such command; give one of {', '.join(COMMANDS)}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_may_be_started_as_a_file(name):
    as_module = python("-m", f"mlp_tf.{name}", "--help")
    assert python(PACKAGE / f"{name}.py", "--help") == as_module
    assert python(f"{name}.py", "--help", cwd=PACKAGE) == as_module


def test_a_command_started_as_a_file_does_its_work(small, tmp_path):
    out = python(PACKAGE / "train.py", *small(epochs=1), cwd=tmp_path)
    assert "Model has completed 1 Epochs of Training" in out


def test_the_package_may_be_started_as_a_folder():
    assert python(PACKAGE) == python("-m", "mlp_tf")


# What a module here would hide, if it had the name of one of Python's: each imports most of the standard library.
@pytest.mark.parametrize(("folder", "library"), [("", "pandas"), ("data", "pandas"), ("runs", "tensorboard")])
def test_python_works_in_every_folder_of_the_package(folder, library):
    where = f"import {library}; print({library}.__file__)"
    assert not python("-c", where, cwd=PACKAGE / folder).startswith(os.fspath(PACKAGE))

"""How a command runs: one line for a mistake, the exit code, help."""

import importlib
import re
import sys

import pytest
from absl import flags

import mlp_tf
from mlp_tf import UserError
from mlp_tf.__main__ import COMMANDS
from mlp_tf.cli import command as cli_command
from mlp_tf.cli import flags as cli_flags


def define_flags(values):
    flags.DEFINE_string("name", "x", "A name.", flag_values=values)


def run(main, *words, **options):
    return cli_command.run(main, "What it does.", define_flags, ["command", *words], **options)


def test_the_exit_code_is_that_of_main():
    assert run(lambda values: 7) == 7
    assert run(lambda values: int(values["name"].value), "--name=3") == 3


@pytest.mark.parametrize("error", [UserError("a\nb  c"), OSError(2, "a b c")])
def test_a_users_mistake_is_one_line_on_stderr_and_exit_1(capsys, error):
    def main(values):
        raise error

    assert run(main) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert "a b c" in err
    assert err.count("\n") == 1


def test_a_bug_shows_its_traceback():
    def main(values):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(main)


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_describes_the_flags_and_exits_0(capsys, flag):
    assert run(lambda values: 1, flag) == 0
    out, _ = capsys.readouterr()
    assert out.startswith("What it does.")
    assert "\noutput:\n  --name: A name." in out


@pytest.mark.parametrize("name", COMMANDS)
def test_help_groups_the_flags_by_topic_in_80_columns(run, name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    module = importlib.import_module(f"mlp_tf.{name}")
    lines = run(module, "--help").out.splitlines()
    assert [line for line in lines if len(line) > 80] == []
    topics = re.findall(r"^(\w+):$", "\n".join(lines), re.MULTILINE)
    assert topics == [topic for topic in cli_command.TOPICS if topic in topics]
    values = flags.FlagValues()
    getattr(module, "define_flags", cli_flags.define)(values)
    described = re.findall(r"^  --(?:\[no\])?(\w+): ", "\n".join(lines), re.MULTILINE)
    assert sorted(described) == sorted(values)


def test_version_is_that_of_the_package(capsys):
    assert run(lambda values: 1, "--version") == 0
    assert capsys.readouterr().out == f"mlp_tf {mlp_tf.__version__}\n"


def test_an_unknown_flag_and_a_stray_word_are_refused(capsys):
    assert run(lambda values: 0, "--colour=red") == 1
    assert capsys.readouterr().err == "error: Unknown command line flag 'colour' (--help lists the flags)\n"
    assert run(lambda values: 0, "name=3", "fast") == 1
    assert "name=3 fast: not a flag" in capsys.readouterr().err


def test_what_a_terminal_would_obey_is_escaped(capsys):
    def main(values):
        print("a\x1b[31mb\udcff\rc\nd")
        print("0/2\n\r1/2\x1b[A", end="", file=sys.stderr)  # as two progress bars, one above the other
        raise UserError("a\x1b[31mb\udcff\rc\nd")

    assert run(main) == 1
    out, err = capsys.readouterr()
    assert out == "a\\x1b[31mb\\udcff\\rc\nd\n"
    assert err == "0/2\n\r1/2\x1b[Aerror: a\\x1b[31mb\\udcff c d\n"
    cli_command.warn("\x1b")  # in a program
    assert capsys.readouterr().err == "WARNING: \\x1b\n"


def test_words_go_to_a_main_that_takes_them():
    assert run(lambda values, words: len(words), "a", "b", takes_words=True) == 2


def test_warnings_are_a_line_each_and_empty_ones_are_left_out(capsys):
    cli_command.warn("one", "", None, "two")
    assert capsys.readouterr().err == "WARNING: one\nWARNING: two\n"

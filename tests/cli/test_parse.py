"""The command line: a flag that is mistyped, given twice, or given by a flag file."""

import os

import pytest
from absl import flags

from mlp_tf import UserError
from mlp_tf.cli.parse import parse


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, and the user's home, with some flag files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "nine.flags").write_text("# a comment\n\n--epochs=9\n--deskew\n")
    (tmp_path / "eight.flags").write_text("--flagfile=~/nine.flags\n--epochs=8\n")
    return tmp_path


def define_flags():
    values = flags.FlagValues()
    for name in ("batch_size", "data_dir", "epochs", "hidden", "learning_rate", "strategy", "workdir"):
        flags.DEFINE_string(name, "", name, values)
    for name in ("deskew", "tensorboard"):
        flags.DEFINE_boolean(name, False, name, values)
    flags.DEFINE_multi_string("run", [], "Runs.", values)
    flags.DEFINE_boolean("help", False, "Help.", values, short_name="h")
    return values


def read(*words):
    """(flags, words) of a command line."""
    values = define_flags()
    rest = parse(values, ["command", *words])
    return values.flag_values_dict(), rest


def refusal(*words):
    """The line that a command line is refused with."""
    with pytest.raises(UserError) as caught:
        read(*words)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("given", "near"),
    [
        ("lr", "--learning_rate"),
        ("LR", "--learning_rate"),
        ("bs", "--batch_size"),
        ("rate", "--learning_rate"),  # and not strategy, whose letters hold it
        ("epoch", "--epochs"),
        ("lerning_rate", "--learning_rate"),
        ("learning-rate", "--learning_rate"),
        ("hiden", "--hidden"),
        ("nodeskw", "--nodeskew"),
        ("no-deskew", "--nodeskew"),
        ("noepochs", "--epochs"),
        ("flagfil", "--flagfile"),
        ("hepl", "--help"),
    ],
)
@pytest.mark.parametrize("form", ["--{}", "-{}", "--{}=1"])
def test_a_mistyped_flag_gets_the_nearest_one(given, near, form):
    assert refusal(form.format(given)) == f"--{given}: no such flag; the nearest is {near} (--help lists all)"


def test_a_mistyped_flag_gets_all_that_are_equally_near():
    line = "--dir: no such flag; the nearest are --data_dir, --workdir (--help lists all)"
    assert refusal("--dir=x") == line


@pytest.mark.parametrize("name", ["colour", "x", "?", "e" * 500])
def test_a_flag_that_is_near_to_none_is_sent_to_help(name):
    assert refusal(f"--{name}=red") == f"--{name}: no such flag; --help lists all"


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (["--epochs=3", "--epochs=5"], "epochs is given twice, as 3 and as 5"),
        (["--epochs=3", "--epochs=3"], "epochs is given twice, as 3 and as 3"),
        (["--epochs", "3", "-epochs=5"], "epochs is given twice, as 3 and as 5"),
        (["--epochs=3", "a.png", "-", "--epochs=5"], "epochs is given twice, as 3 and as 5"),
        (["--epochs=", "--epochs=a=b"], "epochs is given twice, as '' and as a=b"),
        (["--deskew", "--nodeskew"], "deskew is given twice, as true and as false"),
        (["-nodeskew", "--deskew=True"], "deskew is given twice, as false and as True"),
        (["--flagfile=nine.flags", "--epochs=3", "--epochs=5"], "epochs is given twice, as 3 and as 5"),
    ],
)
def test_a_flag_given_twice_is_refused(folder, words, values):
    assert refusal(*words) == f"--{values}; give it once"


@pytest.mark.parametrize("file", [["--flagfile=nine.flags"], ["-flagfile", "~/nine.flags"]])
def test_a_flag_file_may_not_override_a_flag_before_it(folder, file):
    line = "--epochs is given as 3, and as 9 by a --flagfile after it; give the --flagfile first"
    assert refusal("--epochs=3", *file) == line
    assert refusal("--nodeskew", *file).startswith("--deskew is given as false, and as true by")


@pytest.mark.parametrize(
    ("words", "epochs", "deskew"),
    [
        (["--flagfile=nine.flags"], "9", True),
        (["--flagfile", "~/nine.flags", "--epochs", "3", "--nodeskew"], "3", False),
        (["--flagfile=nine.flags", "-flagfile=~/eight.flags"], "8", True),
        (["--flagfile=eight.flags", "--flagfile=nine.flags"], "9", True),
    ],
)
def test_what_comes_later_overrides_a_flag_file(folder, words, epochs, deskew):
    values, rest = read(*words)
    assert (values["epochs"], values["deskew"], rest) == (epochs, deskew, [])


def test_a_flag_file_may_be_a_pipe():
    reading, writing = os.pipe()
    os.write(writing, b"--epochs=4\n")
    os.close(writing)
    assert read(f"--flagfile=/dev/fd/{reading}")[0]["epochs"] == "4"
    os.close(reading)


def test_a_flag_of_several_values_may_be_repeated():
    assert read("--run=a", "--run", "--epochs=3", "--epochs=5")[0]["run"] == ["a", "--epochs=3"]


def test_all_after_a_lone_double_dash_are_words(folder):
    values, rest = read("--epochs=3", "a", "--", "--epochs=5", "--flagfile=nine.flags", "--colour")
    assert values["epochs"] == "3"
    assert rest == ["a", "--epochs=5", "--flagfile=nine.flags", "--colour"]


@pytest.mark.parametrize("words", [["-h", "--help"], ["--epochs=3", "--epochs=5", "-h"]])
def test_who_asks_for_help_gets_it_whatever_is_given_twice(words):
    assert read(*words)[0]["help"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--epochs"], "Missing value for flag --epochs"),
        (["--nodeskew=1"], "--nodeskew=1 does not take an argument"),
        (["--flagfile"], "--flagfile with no argument"),
        (["--flagfile=none.flags"], "Unable to open flagfile: [Errno 2] No such file or directory: 'none.flags'"),
    ],
)
def test_what_absl_refuses_is_one_line(folder, words, line):
    assert refusal(*words) == f"{line}; --help lists the flags and their values"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"--epochs=\xff\n", "--flagfile: not a text file; write a flag on each line, such as --epochs=15"),
        (b"--epochs=a\0b\n", "--epochs=a\0b: holds a NUL character; leave it out"),
        (b"--flagfile=a\0b\n", "embedded null byte; --help lists the flags and their values"),
        (b"--epochs 3\n", "--epochs 3: no such flag; the nearest is --epochs (--help lists all)"),
    ],
)
def test_a_flag_file_that_cannot_be_read_is_one_line(folder, content, line):
    (folder / "odd.flags").write_bytes(content)
    assert refusal("--flagfile=odd.flags") == line

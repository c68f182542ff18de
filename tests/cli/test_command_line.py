"""The command line: mistyped and repeated flags, and flags from a file."""

import os

import pytest
from absl import flags

from mlp_tf.cli import command as cli_command


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, and the user's home, with some flag files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "nine.flags").write_text("# a comment\n\n--epochs=9\n--deskew\n--run=x\n--run=y\n")
    (tmp_path / "eight.flags").write_text("--flagfile=~/nine.flags\n--epochs=8\n")
    return tmp_path


def define_flags(values):
    for name in ("batch_size", "data_dir", "epochs", "hidden", "learning_rate", "workdir"):
        flags.DEFINE_string(name, "", name, values)
    for name in ("deskew", "tensorboard"):
        flags.DEFINE_boolean(name, False, name, values)
    flags.DEFINE_multi_string("run", [], "Runs.", values)
    flags.DEFINE_multi_string("seed", ["0"], "Seeds.", values)


@pytest.fixture
def read():
    """Reads a command line: {flag: value}, besides "words", and "given" with the names of the flags in it."""

    def read(*words):
        read = {}

        def main(values, rest):
            read.update(values.flag_values_dict(), words=rest, given={name for name in values if values[name].present})
            return 0

        assert cli_command.run(main, "Doc.", define_flags, ["command", *words], takes_words=True) == 0
        return read

    return read


@pytest.fixture
def refusal(capsys):
    """The line that a command line is refused with."""

    def refuse(*words):
        code = cli_command.run(lambda values, rest: 0, "Doc.", define_flags, ["command", *words], takes_words=True)
        out, err = capsys.readouterr()
        assert (code, out, err.count("\n")) == (1, "", 1)
        return err.removeprefix("error: ").removesuffix("\n")

    return refuse


@pytest.mark.parametrize("form", ["--{}", "-{}", "--{}=1"])
@pytest.mark.parametrize(
    ("given", "near"),
    [("epoch", "epochs"), ("lerning_rate", "learning_rate"), ("learning-rate", "learning_rate"), ("hiden", "hidden")],
)
def test_a_mistyped_flag_gets_the_nearest_one(refusal, given, near, form):
    line = f"Unknown command line flag '{given}'. Did you mean: {near} ? (--help lists the flags)"
    assert refusal(form.format(given)) == line


@pytest.mark.parametrize("name", ["colour", "x", "?", "e" * 500, "e" * 50_000])
def test_a_flag_that_is_near_to_none_is_sent_to_help(refusal, name):
    assert refusal(f"--{name}=red").endswith(" (--help lists the flags)")


@pytest.mark.parametrize(
    ("words", "epochs", "deskew"),
    [
        (["--epochs=3", "--epochs=5"], "5", False),
        (["--epochs", "3", "-epochs=5"], "5", False),
        (["--epochs=3", "a.png", "-", "--epochs=5"], "5", False),
        (["--epochs=3", "--epochs="], "", False),
        (["--deskew", "--nodeskew", "--epochs=1"], "1", False),
        (["-nodeskew", "--deskew=True", "--epochs=1"], "1", True),
    ],
)
def test_the_last_value_of_a_flag_counts(read, words, epochs, deskew):
    values = read(*words)
    assert (values["epochs"], values["deskew"]) == (epochs, deskew)


@pytest.mark.parametrize(
    ("words", "epochs", "deskew"),
    [
        (["--flagfile=nine.flags"], "9", True),
        (["--flagfile=nine.flags", "--epochs=3"], "3", True),
        (["--epochs=3", "--flagfile=nine.flags"], "3", True),
        (["--epochs=", "-flagfile", "~/nine.flags"], "", True),
        (["--nodeskew", "--flagfile", "~/nine.flags", "--epochs", "3"], "3", False),
        (["--flagfile=nine.flags", "-flagfile=~/eight.flags"], "8", True),
        (["--flagfile=eight.flags", "--flagfile=nine.flags"], "9", True),
    ],
)
def test_what_is_typed_takes_precedence_over_a_flag_file(read, folder, words, epochs, deskew):
    values = read(*words)
    assert (values["epochs"], values["deskew"], values["words"]) == (epochs, deskew, [])
    assert {"epochs", "deskew", "run"} <= values["given"]
    assert "hidden" not in values["given"]


@pytest.mark.parametrize(
    ("words", "runs"),
    [
        (["--flagfile=nine.flags"], ["x", "y"]),
        (["--flagfile=nine.flags", "--run=a"], ["a"]),
        (["--run=a", "--flagfile=nine.flags", "--run=b"], ["a", "b"]),
        (["--flagfile=nine.flags", "--flagfile=eight.flags"], ["x", "y", "x", "y"]),
        (["--run=a", "--run", "--epochs=3", "--epochs=5"], ["a", "--epochs=3"]),
        ([], []),
    ],
)
def test_typed_values_of_a_repeatable_flag_replace_those_of_a_file(read, folder, words, runs):
    values = read(*words)
    assert values["run"] == runs
    assert ("run" in values["given"]) == bool(runs)
    assert values["seed"] == ["0"]


def test_a_flag_file_may_be_a_pipe(read):
    reading, writing = os.pipe()
    os.write(writing, b"--epochs=4\n")
    os.close(writing)
    assert read(f"--flagfile=/dev/fd/{reading}")["epochs"] == "4"
    os.close(reading)


def test_words_of_a_flag_file_come_before_those_that_are_typed(read, folder):
    (folder / "words.flags").write_text("a.png\n--epochs=3\n")
    values = read("b.png", "--flagfile=words.flags")
    assert (values["words"], values["epochs"]) == (["a.png", "b.png"], "3")


def test_all_after_a_lone_double_dash_are_words(read, folder):
    values = read("--epochs=3", "a", "--", "--epochs=5", "--flagfile=nine.flags", "--colour")
    assert values["epochs"] == "3"
    assert values["words"] == ["a", "--epochs=5", "--flagfile=nine.flags", "--colour"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--epochs"], "Missing value for flag --epochs"),
        (["--nodeskew=1"], "--nodeskew=1 does not take an argument"),
        (["--deskew=1.5"], "flag --deskew=1.5: ('Non-boolean argument to boolean flag', '1.5')"),
        (["--flagfile"], "--flagfile with no argument"),
        (["--flagfile=none.flags"], "Unable to open flagfile: [Errno 2] No such file or directory: 'none.flags'"),
    ],
)
def test_what_absl_refuses_is_one_line(refusal, folder, words, line):
    assert refusal(*words) == f"{line} (--help lists the flags)"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"--epochs=\xff\n", "--flagfile: not a text file; write a flag on each line, such as --epochs=15"),
        (b"--epochs=a\0b\n", r"--epochs=a\x00b: contains a NUL character; leave it out"),
        (b"--run=a\0b\n", r"--run=a\x00b: contains a NUL character; leave it out"),
        (b"--flagfile=a\0b\n", "embedded null byte (--help lists the flags)"),
        (
            b"--epochs 3\n",
            "Unknown command line flag 'epochs 3'. Did you mean: epochs ? (--help lists the flags)",
        ),
    ],
)
def test_a_flag_file_that_cannot_be_read_is_one_line(refusal, folder, content, line):
    (folder / "odd.flags").write_bytes(content)
    assert refusal("--flagfile=odd.flags") == line

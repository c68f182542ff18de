"""The recipes: flags that reproduce published results."""

import re

import pytest
from helpers import ROOT

from mlp_tf import sweep, train
from mlp_tf.cli import command as cli_command
from mlp_tf.cli import flags

FOLDER = ROOT / "mlp_tf/recipes"
RECIPES = sorted(path.stem for path in FOLDER.glob("*.flags"))
OF_TRAIN = [name for name in RECIPES if not name.startswith("sweep_")]


def parsed(command, *words):
    """The flags of a command line, as `main` of the command gets them."""
    read = []

    def main(values):
        read.append(values)
        return 0

    assert cli_command.run(main, command.__doc__, command.define_flags, ["command", *words]) == 0
    return read[0]


@pytest.mark.parametrize("name", OF_TRAIN)
def test_a_recipe_parses_and_opens_with_what_it_reproduces(name):
    config = flags.to_config(parsed(train, f"--recipe={name}"))
    assert config == flags.to_config(parsed(train, f"--flagfile={FOLDER / name}.flags"))
    assert config.dataset == "mnist"
    assert (FOLDER / f"{name}.flags").read_text().startswith("# ")


def test_a_recipe_is_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for words in (["--recipe=sigmoid_10"], ["--recipe", "sigmoid_10"], ["-recipe=relu_512", "--recipe=sigmoid_10"]):
        assert flags.to_config(parsed(train, *words)).hidden == (10,)


def test_typed_flags_and_flag_files_take_precedence_over_a_recipe(tmp_path):
    file = tmp_path / "mine.flags"
    file.write_text("--recipe=sigmoid_10\n--epochs=3\n--batch_size=7\n")
    config = flags.to_config(parsed(train, "--batch_size=9", f"--flagfile={file}"))
    assert (config.hidden, config.activation, config.epochs, config.batch_size) == ((10,), "sigmoid", 3, 9)


@pytest.mark.parametrize("name", ["sigmoid", "", "../recipes/sigmoid_10", "sigmoid_10.flags", "a\0b"])
def test_an_unknown_recipe_is_a_line_that_lists_the_names(name, capsys):
    code = cli_command.run(lambda values: 0, "", train.define_flags, ["train", f"--recipe={name}"])
    err = capsys.readouterr().err
    assert (code, err.count("\n")) == (1, 1)
    if "\0" not in name:
        assert err == f"error: --recipe={name}: must be one of {', '.join(RECIPES)}\n"


def test_the_table_of_results_has_every_recipe_and_no_other():
    named = re.findall(r"^\| `(\w+)` \|", (FOLDER / "README.md").read_text(), re.MULTILINE)
    assert set(named) == set(RECIPES)


def test_the_published_sweep_is_a_recipe():
    configs = [config for _, config in sweep.grid(parsed(sweep, "--recipe=sweep_sigmoid"))]
    assert [config.hidden for config in configs[::3]] == [(10,), (25,), (50,), (100,), (150,), (200,)]
    assert {(config.epochs, config.batch_size, config.activation) for config in configs} == {(20, 128, "sigmoid")}
    assert [config.seed for config in configs[:4]] == [0, 1, 2, 0]


def test_the_table_of_trials_is_a_recipe():
    configs = [config for _, config in sweep.grid(parsed(sweep, "--recipe=sweep_trials"))]
    networks = [(config.hidden, config.activation, config.epochs) for config in configs[::3]]
    assert len(networks) == len(set(networks)) == len(configs) / 3 == 32
    assert networks[:2] == [((), "relu", 4), ((), "relu", 15)]  # softmax regression, trained once


def test_a_typed_value_replaces_those_that_a_recipe_repeats():
    configs = [config for _, config in sweep.grid(parsed(sweep, "--hidden=8", "--epochs=1", "--recipe=sweep_trials"))]
    assert [(config.hidden, config.epochs) for config in configs] == [((8,), 1)] * 9

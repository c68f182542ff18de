"""The recipes: flags that reproduce published results."""

import pytest
from absl import flags as absl_flags
from helpers import ROOT

from mlp_tf import sweep
from mlp_tf.cli import flags

FOLDER = ROOT / "mlp_tf/recipes"
RECIPES = sorted(path for path in FOLDER.glob("*.flags") if not path.stem.startswith("sweep_"))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_parses_and_opens_with_what_it_reproduces(recipe):
    values = absl_flags.FlagValues()
    flags.define(values)
    assert values(["train", f"--flagfile={recipe}"]) == ["train"]
    assert recipe.read_text().startswith("# ")
    assert flags.to_config(values).dataset == "mnist"


def test_the_published_sweep_is_a_recipe():
    values = absl_flags.FlagValues()
    sweep.define_flags(values)
    values(["sweep", f"--flagfile={FOLDER / 'sweep_sigmoid.flags'}"])
    configs = [config for _, config in sweep.grid(values)]
    assert [config.hidden for config in configs[::3]] == [(10,), (25,), (50,), (100,), (150,), (200,)]
    assert {(config.epochs, config.batch_size, config.activation) for config in configs} == {(20, 128, "sigmoid")}
    assert [config.seed for config in configs[:4]] == [0, 1, 2, 0]


def test_the_table_of_trials_is_a_recipe():
    values = absl_flags.FlagValues()
    sweep.define_flags(values)
    values(["sweep", f"--flagfile={FOLDER / 'sweep_trials.flags'}"])
    configs = [config for _, config in sweep.grid(values)]
    assert len({(config.hidden, config.activation, config.epochs) for config in configs}) == len(configs) / 3 == 30

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
    assert values["hidden"].value == ["10", "25", "50", "100", "150", "200"]
    config = flags.to_config(values, hidden=(10,), seed=0, workdir="")
    assert (config.epochs, config.batch_size, config.activation) == (20, 128, "sigmoid")

"""The settings: their ranges for library calls and JSON, and how words become values."""

import pytest
from helpers import OTHER_CONFIG

from mlp_tf import UserError
from mlp_tf.config import Config


def test_json_gives_the_same_settings_back():
    assert Config.from_json(OTHER_CONFIG.to_json()) == OTHER_CONFIG


def test_a_library_call_has_the_same_ranges():
    with pytest.raises(UserError, match="--epochs=0: must be an integer of 1 or more"):
        Config(epochs=0)


def test_a_function_is_taken_from_a_program_and_refused_to_a_folder():
    for name in ("activation", "optimizer"):
        config = Config(**{name: len})
        with pytest.raises(UserError, match=f"{name} is a function, which a run's folder cannot keep"):
            config.to_json()
    with pytest.raises(UserError, match=r"--init=.*must be one of glorot, he, normal"):
        Config(init=len)


@pytest.mark.parametrize("settings", [{}, {"hidden": 3}, {"hidden": [3], "colour": 1}, {"hidden": [3], "epochs": "x"}])
def test_json_that_is_no_settings_is_refused(settings):
    with pytest.raises(UserError):
        Config.from_json(settings)

"""The settings: one range for flags, JSON and library calls."""

import dataclasses

import pytest
from absl import flags

from mlp_tf import UserError, config
from mlp_tf.config import Config


def parse(*words):
    values = flags.FlagValues()
    config.define_flags(values)
    values(["train", *words])
    return config.from_flags(values)


def test_the_defaults_are_the_documented_recipe():
    assert parse() == Config()
    assert Config() == Config(
        hidden=(256, 256), epochs=15, batch_size=100, learning_rate=0.001, optimizer="adam", activation="relu",
        init="glorot", schedule="constant", label_smoothing=0.0, distort=0.0, elastic=0.0, deskew=False,
        validation_size=5000, patience=0, seed=0, dataset="auto", data_dir="", workdir="", tensorboard=False,
        strategy="default", logical_cpus=0, replicate_data=False,
    )  # fmt: skip


OTHER = Config(
    hidden=(7,), epochs=2, batch_size=3, learning_rate=1e-05, optimizer="sgd", activation="tanh", init="he",
    schedule="linear", label_smoothing=0.1, distort=0.5, elastic=0.2, deskew=True, validation_size=9, patience=4,
    seed=8, dataset="/x.npz", data_dir="a b", workdir="r", tensorboard=True,
)  # fmt: skip


def test_json_gives_the_same_settings_back():
    assert Config.from_json(OTHER.to_json()) == OTHER


def test_as_flags_gives_the_same_settings_back():
    assert parse(*OTHER.as_flags()) == OTHER
    assert Config().as_flags() == []
    several = dataclasses.replace(OTHER, strategy="multi_worker", replicate_data=True)
    assert parse(*several.as_flags()) == several
    # The two of which only one may be given count as one.
    assert len(several.as_flags()) == len(dataclasses.fields(Config)) - 1
    mirrored = dataclasses.replace(OTHER, strategy="mirrored", logical_cpus=2)
    assert parse(*mirrored.as_flags()) == mirrored


@pytest.mark.parametrize(("flag", "strategy"), [("--logical_cpus=2", "mirrored"), ("--replicate_data", "multi_worker")])
def test_a_flag_of_one_strategy_is_refused_with_another(flag, strategy):
    parse(flag, f"--strategy={strategy}")
    with pytest.raises(UserError, match=f"it does nothing there; give --strategy={strategy}, or leave it out"):
        parse(flag)


@pytest.mark.parametrize(
    ("words", "allowed"),
    [
        ("--hidden=256,x", "integers from 1 to 100000 separated by commas, such as 256,256"),
        ("--hidden=0", "integers from 1"),
        ("--hidden=", "integers from 1"),
        ("--hidden=256,,2", "integers from 1"),
        ("--epochs=0", "an integer of 1 or more"),
        ("--epochs=1.5", "an integer of 1 or more"),
        ("--batch_size=0", "an integer of 1 or more"),
        ("--learning_rate=-0.1", "a number above 0"),
        ("--learning_rate=nan", "a number above 0"),
        ("--learning_rate=inf", "a number above 0"),
        ("--optimizer=lion", "one of adam, rmsprop, sgd"),
        ("--activation=gelu", "one of relu, sigmoid, tanh"),
        ("--init=xavier", "one of glorot, he, normal"),
        ("--schedule=cosine", "one of constant, linear"),
        ("--label_smoothing=1", "a number from 0 to below 1"),
        ("--distort=-1", "a number from 0 to 10"),
        ("--elastic=11", "a number from 0 to 10"),
        ("--validation_size=-1", "an integer of 0 or more"),
        ("--patience=-1", "an integer of 0 or more"),
        ("--seed=-1", "an integer from 0 to 2147483647"),
    ],
)
def test_a_flag_out_of_range_names_the_value_and_what_is_allowed(words, allowed):
    with pytest.raises(flags.Error) as error:
        parse(words)
    assert words in str(error.value)
    assert f"must be {allowed}" in str(error.value)


def test_a_library_call_has_the_same_ranges():
    with pytest.raises(UserError, match="--epochs=0: must be an integer of 1 or more"):
        Config(epochs=0)


def test_patience_needs_a_validation_split():
    with pytest.raises(UserError, match="--patience=3 with --validation_size=0"):
        parse("--patience=3", "--validation_size=0")


def test_differences_name_both_values_and_leave_out_the_total_and_the_places():
    assert config.differences(OTHER, dataclasses.replace(OTHER, epochs=9, workdir="q", data_dir="z")) == []
    changed = dataclasses.replace(OTHER, hidden=(9, 9), seed=1)
    assert config.differences(changed, OTHER) == [("hidden", "9,9", "7"), ("seed", "1", "8")]


@pytest.mark.parametrize("settings", [{}, {"hidden": 3}, {"hidden": [3], "colour": 1}, {"hidden": [3], "epochs": "x"}])
def test_json_that_is_no_settings_is_refused(settings):
    with pytest.raises(UserError):
        Config.from_json(settings)

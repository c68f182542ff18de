"""The flags of `Config`: one range for all, words there and back."""

import dataclasses

import pytest
from absl import flags as absl_flags
from helpers import OTHER_CONFIG

from mlp_tf import UserError
from mlp_tf.cli import flags
from mlp_tf.config import Config


def parse(*words):
    values = absl_flags.FlagValues()
    flags.define(values)
    values(["train", *words])
    return flags.to_config(values)


def test_the_defaults_are_the_documented_recipe():
    assert parse() == Config()
    assert Config() == Config(
        hidden=(256, 256), epochs=15, batch_size=100, learning_rate=0.001, optimizer="adam", activation="relu",
        init="glorot", schedule="constant", label_smoothing=0.0, distort=0.0, elastic=0.0, deskew=False,
        validation_size=None, patience=0, seed=0, dataset="auto", data_dir="", workdir="", tensorboard=False,
        strategy="default", logical_cpus=0, replicate_data=False,
    )  # fmt: skip


def test_the_flags_of_settings_give_the_same_settings_back():
    assert parse(*flags.to_words(vars(OTHER_CONFIG))) == OTHER_CONFIG
    assert flags.to_words(vars(Config())) == []
    several = dataclasses.replace(OTHER_CONFIG, strategy="multi_worker", replicate_data=True)
    assert parse(*flags.to_words(vars(several))) == several
    # The two of which only one may be given count as one.
    assert len(flags.to_words(vars(several))) == len(dataclasses.fields(Config)) - 1
    mirrored = dataclasses.replace(OTHER_CONFIG, strategy="mirrored", logical_cpus=2)
    assert parse(*flags.to_words(vars(mirrored))) == mirrored


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
        ("--hidden=,", "integers from 1"),
        ("--hidden=256,,2", "integers from 1"),
        ("--epochs=0", "an integer from 1 to 100000"),
        ("--epochs=1.5", "an integer from 1 to 100000"),
        ("--batch_size=0", "an integer of 1 or more"),
        ("--learning_rate=-0.1", "a number above 0"),
        ("--learning_rate=nan", "a number above 0"),
        ("--learning_rate=inf", "a number above 0"),
        ("--optimizer=lion", "one of adam, rmsprop, sgd"),
        ("--activation=swish", "one of relu, sigmoid, tanh, elu"),
        ("--init=xavier", "one of glorot, he, normal"),
        ("--schedule=step", "one of constant, linear, cosine"),
        ("--label_smoothing=1", "a number from 0 to below 1"),
        ("--distort=-1", "a number from 0 to 10"),
        ("--elastic=11", "a number from 0 to 10"),
        ("--validation_size=-1", "auto, or an integer of 0 or more"),
        ("--validation_size=none", "auto, or an integer of 0 or more"),
        ("--patience=-1", "an integer of 0 or more"),
        ("--seed=-1", "an integer of 0 or more, below 2**31"),
    ],
)
def test_a_flag_out_of_range_names_the_value_and_what_is_allowed(words, allowed):
    with pytest.raises(UserError) as error:
        parse(words)
    assert words in str(error.value)
    assert f"must be {allowed}" in str(error.value)


def test_patience_needs_a_validation_split():
    with pytest.raises(UserError, match="--patience=3 with --validation_size=0"):
        parse("--patience=3", "--validation_size=0")


def test_a_flag_that_must_be_given_is_asked_for():
    values = absl_flags.FlagValues()
    flags.define(values, only=["workdir"])
    values(["evaluate"])
    with pytest.raises(UserError, match="--workdir is missing; give --workdir=FOLDER"):
        flags.required(values, "workdir")


def test_an_npz_is_named_by_its_whole_path_so_that_any_folder_finds_it(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert parse("--dataset=a.npz").dataset == str(tmp_path / "a.npz")
    assert parse("--dataset=mnist").dataset == "mnist"

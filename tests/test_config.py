"""The settings: one range for flags, JSON and calls, and an error that says what must be."""

import dataclasses
import math
import pathlib

import msgspec
import numpy as np
import pytest
from helpers import OTHER_CONFIG

from mlp_tf import UserError
from mlp_tf.config import Config, read, words_of

MIDDLE = {  # of the range of each setting that has one: (below it, its lowest and highest value, above it)
    "epochs": (0, 1, 100_000, 100_001),
    "batch_size": (0, 1, 2**31 - 1, 2**31),
    "learning_rate": (0.0, 5e-324, 1e308, math.inf),
    "label_smoothing": (-0.1, 0.0, 0.999, 1.0),
    "momentum": (-0.1, 0.0, 0.999, 1.0),
    "dropout": (-0.1, 0.0, 0.999, 1.0),
    "input_dropout": (-0.1, 0.0, 0.999, 1.0),
    "weight_decay": (-0.1, 0.0, 1e308, math.inf),
    "max_norm": (-0.1, 0.0, 1e308, math.inf),
    "distort": (-0.1, 0.0, 10.0, 10.1),
    "elastic": (-0.1, 0.0, 10.0, 10.1),
    "validation_size": (-1, 0, 2**31 - 1, 2**31),
    "patience": (-1, 0, 2**31 - 1, 2**31),
    "seed": (-1, 0, 2**31 - 1, 2**31),
    "logical_cpus": (-1, 0, 1024, 1025),
    "hidden": ((8, 0), (1,), (100_000,), (100_001,)),
}


LAYERS = "a tuple of integers from 1 to 100000, such as (256, 256), or ()"


def given_in_every_way(name, value):
    """Functions that give a setting its value: by a call, by JSON, by a flag."""
    needed = {"logical_cpus": {"strategy": "mirrored"}, "momentum": {"optimizer": "momentum"}}
    others = needed.get(name, {})
    settings = {**Config().to_json(), **others, name: list(value) if isinstance(value, tuple) else value}
    return [
        lambda: getattr(Config(**others, **{name: value}), name),
        lambda: getattr(Config.from_json(settings), name),
        lambda: read(name, words_of(value)),
    ]


@pytest.mark.parametrize("name", MIDDLE)
def test_a_setting_has_one_range_for_flags_json_and_calls(name):
    below, lowest, highest, above = MIDDLE[name]
    for value in (lowest, highest):
        assert [give() for give in given_in_every_way(name, value)] == [value] * 3
    for value in (below, above, math.nan):
        for give in given_in_every_way(name, value):
            with pytest.raises(UserError, match=f"{name}=.*: must be "):
                give()


def test_a_value_read_from_a_flag_is_written_as_the_same_flag():
    for field in dataclasses.fields(Config):
        for value in (field.default, getattr(OTHER_CONFIG, field.name)):
            assert read(field.name, words_of(value)) == value
    assert read("dropout", ".5") == 0.5
    assert read("hidden", "256, 256") == (256, 256)
    assert (read("hidden", ""), words_of(())) == ((), "")
    assert read("deskew", "true") is True


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("hidden", ","), ("hidden", "8,"), ("hidden", "8;8"), ("epochs", "3.0"), ("epochs", "true"),
        ("epochs", "9" * 5000), ("learning_rate", "1e400"), ("learning_rate", "fast"), ("validation_size", "null"),
        ("validation_size", ""), ("resize", "28"), ("resize", "0x8"), ("resize", "8x8\n"),
        ("optimizer", "Adam"), ("optimizer", ""), ("deskew", "maybe"),
    ],
)  # fmt: skip
def test_text_that_is_no_value_is_refused_with_what_must_be(name, words):
    with pytest.raises(UserError, match=f"^--{name}={words}: must be .*$"):
        read(name, words)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden": 8}, f"hidden=8: must be {LAYERS}"),
        ({"hidden": "8,8"}, f"hidden='8,8': must be {LAYERS}"),
        ({"hidden": (8.0,)}, f"hidden=(8.0,): must be {LAYERS}"),
        ({"hidden": (True,)}, f"hidden=(True,): must be {LAYERS}"),
        ({"epochs": 0}, "epochs=0: must be an integer from 1 to 100000"),
        ({"epochs": True}, "epochs=True: must be an integer from 1 to 100000"),
        ({"epochs": 2.0}, "epochs=2.0: must be an integer from 1 to 100000"),
        ({"learning_rate": "0.1"}, "learning_rate='0.1': must be a number above 0"),
        ({"learning_rate": True}, "learning_rate=True: must be a number above 0"),
        ({"learning_rate": 10**400}, f"learning_rate=1{'0' * 38}...{'0' * 38}: must be a number above 0"),
        ({"validation_size": "auto"}, "validation_size='auto': must be None, or an integer of 0 or more, below 2**31"),
        ({"deskew": 1}, "deskew=1: must be true or false"),
        ({"dataset": None}, "dataset=None: must be a string"),
        ({"init": len}, "init=<built-in function len>: must be one of glorot, he, normal"),
        (
            {"optimizer": "adagrad"},
            "optimizer='adagrad': must be one of adam, rmsprop, sgd, momentum, or a function of the learning rate that "
            "makes an optimizer",
        ),
        (
            {"activation": "swish"},
            "activation='swish': must be one of relu, sigmoid, tanh, elu, gelu, leaky_relu, or a function of a tensor",
        ),
        (
            {"momentum": 0.5},
            "--momentum=0.5 with --optimizer=adam: it does nothing there; give --optimizer=momentum, or leave it out",
        ),
    ],
)
def test_a_call_is_refused_in_the_words_of_a_program(settings, message):
    with pytest.raises(UserError) as error:
        Config(**settings)
    assert str(error.value) == message


def test_an_optimizer_that_is_made_already_is_refused_with_what_must_be():
    class Optimizer:
        def __repr__(self):
            return "<Optimizer\nof two lines>"

    with pytest.raises(UserError) as error:
        Config(optimizer=Optimizer())
    assert "or a function of the learning rate that makes an optimizer" in str(error.value)


def test_a_call_may_give_numbers_and_paths_as_programs_have_them():
    config = Config(
        hidden=[np.int64(8), 4], learning_rate=1, dropout=np.float64(0.5), epochs=np.int32(3), workdir=pathlib.Path("r")
    )
    assert config == Config(hidden=(8, 4), learning_rate=1.0, dropout=0.5, epochs=3, workdir="r")
    values = [config.hidden[0], config.learning_rate, config.dropout, config.epochs, config.workdir]
    assert list(map(type, values)) == [int, float, float, int, str]
    assert Config(hidden=np.array([8, 4])).hidden == (8, 4)
    msgspec.json.encode(config.to_json())


def test_a_function_is_taken_from_a_program_and_refused_to_a_folder():
    for name in ("activation", "optimizer"):
        config = Config(**{name: len})
        assert getattr(config, name) is len
        with pytest.raises(UserError, match=f"{name} is a function, which a run's folder cannot keep"):
            config.to_json()


def test_json_gives_the_same_settings_back():
    assert Config.from_json(OTHER_CONFIG.to_json()) == OTHER_CONFIG
    assert Config.from_json(msgspec.json.decode(msgspec.json.encode(OTHER_CONFIG.to_json()))) == OTHER_CONFIG


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Config)])
def test_json_without_a_setting_is_refused_by_its_name(name):
    settings = Config().to_json()
    del settings[name]
    with pytest.raises(UserError, match=f"not the settings of a run: {name} is missing$"):
        Config.from_json(settings)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": 1}, "colour is not a setting"),
        ({"hidden": 3}, "hidden=3: must be a tuple"),
        ({"hidden": ["3"]}, r"hidden=\['3'\]: must be a tuple"),
        ({"epochs": "x"}, "epochs='x': must be an integer"),
        ({"epochs": True}, "epochs=True: must be an integer"),
        ({"learning_rate": "0.1"}, "learning_rate='0.1': must be a number"),
        ({"deskew": "true"}, "deskew='true': must be true or false"),
        ({"validation_size": "auto"}, "validation_size='auto': must be None"),
        ({"patience": 1, "validation_size": 0}, "--patience=1 with --validation_size=0"),
    ],
)
def test_json_that_is_no_settings_is_refused_in_one_line(changes, message):
    with pytest.raises(UserError, match=f"^these are not the settings of a run: {message}") as error:
        Config.from_json({**Config().to_json(), **changes})
    assert "\n" not in str(error.value)

"""The absl flags of `Config`: plain words, which `Config` itself reads and checks."""

import dataclasses
import os

from absl import flags

from mlp_tf import UserError, config
from mlp_tf.config import Config


def define(flag_values, only=None):
    """Defines a flag for each setting, or for those that `only` names."""
    for field in dataclasses.fields(Config):
        if only is not None and field.name not in only:
            continue
        if field.type is bool:
            flags.DEFINE_boolean(field.name, field.default, field.metadata["text"], flag_values)
        else:
            text = f"{field.metadata['text']}\n({field.metadata['allowed']})"
            flags.DEFINE_string(field.name, config.words_of(field.default), text, flag_values)


def to_config(flag_values, **settings):
    """The settings that the flags give, with `settings` in place of the flags of those names.

    A setting that the command has no flag for has its default.

    Raises:
      UserError: a value out of its range, or two values that exclude each other.
    """
    names = [field.name for field in dataclasses.fields(Config) if field.name in flag_values]
    given = {name: _value_of(flag_values, name) for name in names if name not in settings}
    if given.get("dataset", "").endswith(".npz"):
        given["dataset"] = os.path.abspath(given["dataset"])  # so that it is found from any folder
    return Config(**given, **settings)


def _value_of(flag_values, name):
    words = flag_values[name].value
    return words if isinstance(words, bool) else config.read(name, words)


def from_config(settings):
    """The command line that gives these settings: a flag for each that is not the default."""
    pairs = [(field.name, getattr(settings, field.name), field.default) for field in dataclasses.fields(Config)]
    return [f"--{name}={config.words_of(value)}" for name, value, default in pairs if value != default]


def required(flag_values, name):
    """The value of a flag that must be given.

    Raises:
      UserError: it was not.
    """
    value = flag_values[name].value
    if not value:
        raise UserError(f"--{name} is missing; give --{name}=FOLDER (--help says more)")
    return value

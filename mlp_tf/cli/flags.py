"""The absl flags of `Config`: plain words, which `Config` itself reads and checks."""

import dataclasses
import os
import pathlib

from absl import flags

from mlp_tf import UserError, config
from mlp_tf.config import Config, is_path

_PATHS = ("dataset", "data_dir", "workdir")
_OF_STRATEGY = ("strategy", "logical_cpus", "replicate_data")


def define(flag_values, only=None, repeatable=()):
    """Defines a flag for each setting, or for those that `only` names; `repeatable` ones are lists, empty or not."""
    for field in dataclasses.fields(Config):
        if only is not None and field.name not in only:
            continue
        text = field.metadata["text"]
        if field.type is not bool:
            text += f"\n({field.metadata['allowed']})"
        if field.name in repeatable:
            parser = flags.BooleanParser() if field.type is bool else flags.ArgumentParser()
            flag = flags.MultiFlag(parser, None, field.name, None, text, boolean=field.type is bool)
            flags.DEFINE_flag(flag, flag_values)
        elif field.type is bool:
            flags.DEFINE_boolean(field.name, field.default, text, flag_values)
        else:
            flags.DEFINE_string(field.name, config.words_of(field.default), text, flag_values)


def define_run(flag_values):
    """Defines the flags of a command that reads a run and its data: --workdir and --data_dir."""
    flags.DEFINE_string("workdir", None, "The run's folder.", flag_values=flag_values)
    define_data_dir(flag_values)


def define_ensemble(flag_values):
    """Defines --workdir of a command that takes one run, or several, an ensemble."""
    text = "The run's folder; repeat it for an ensemble of runs on the same data: the mean of their probabilities."
    flags.DEFINE_multi_string("workdir", None, text, flag_values=flag_values)


def define_data_dir(flag_values):
    """Defines --data_dir of a command that reads a run's data again."""
    text = "Where the data lie now, if they were moved: a folder, or the file."
    flags.DEFINE_string("data_dir", "", text, flag_values=flag_values)


def define_pictures(flag_values):
    """Defines the flags of a command that draws: --format and --dpi."""
    flags.DEFINE_enum("format", "png", ["png", "svg", "pdf"], "Format of the pictures.", flag_values=flag_values)
    text = "Dots an inch of the pictures, which are 8 inches wide."
    flags.DEFINE_integer("dpi", 150, text, lower_bound=50, upper_bound=600, flag_values=flag_values)


def pictures(flag_values):
    """How `figures.save` shall write: {"format": ..., "dpi": ...}."""
    return {name: flag_values[name].value for name in ("format", "dpi")}


def to_config(flag_values, own=None, **settings):
    """The settings that the flags give, with `settings` in place of the flags of those names.

    Args:
      own: the `Config` of the run that is to go on, which counts where a flag is not given; by default, the defaults.

    Raises:
      UserError: a value out of its range, or two values that exclude each other.
    """
    given = {f.name for f in dataclasses.fields(Config) if f.name in flag_values and flag_values[f.name].present}
    if given & set(_OF_STRATEGY):  # which belong together
        given |= {name for name in _OF_STRATEGY if name in flag_values}
    values = {name: _read(name, flag_values[name].value) for name in given - settings.keys()}
    if is_path(values.get("dataset", "")):
        values["dataset"] = os.path.abspath(values["dataset"])  # so that it is found from any folder
    return dataclasses.replace(own or Config(), **values, **settings)


def values_of(flag_values, name):
    """The values of a flag that may be repeated, each once.

    Raises:
      UserError: a value out of its range.
    """
    return list(dict.fromkeys(_read(name, words) for words in flag_values[name].value))


def _read(name, words):
    if isinstance(words, bool):
        return words
    return config.read(name, os.path.expanduser(words) if name in _PATHS else words)


def path(flag_values, name):
    """The value of a flag that names a file or folder, `~` expanded; empty where it is not given."""
    return os.path.expanduser(flag_values[name].value or "")


def from_config(settings):
    """The command line that gives these settings: a flag for each that is not the default."""
    pairs = [(field.name, getattr(settings, field.name), field.default) for field in dataclasses.fields(Config)]
    return [f"--{name}={config.words_of(value)}" for name, value, default in pairs if value != default]


def required(flag_values, name):
    """The folder that a flag names, or the folders of one that is repeated, each once; `~` expanded.

    Raises:
      UserError: it was not given.
    """
    value = flag_values[name].value
    if not value:
        raise UserError(f"--{name} is missing; give --{name}=FOLDER (--help says more)")
    if not isinstance(value, list):
        return os.path.expanduser(value)
    folders = {}
    for folder in map(os.path.expanduser, value):
        folders.setdefault(os.path.realpath(folder), folder)
    return list(folders.values())


def make_folder(name, path):
    """The folder that a flag names, made if it is not there.

    Raises:
      UserError: it cannot be made.
    """
    try:
        pathlib.Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--{name}={path}: {error.strerror}; give a folder that can be made") from None
    return pathlib.Path(path)

"""The absl flags of `Config`, as text that `Config` itself reads and checks; and flags that several commands share."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags

from mlp_tf import UserError, config
from mlp_tf.config import Config, is_path

_PATHS = ("dataset", "data_dir", "workdir")
_OF_STRATEGY = ("strategy", "logical_cpus", "replicate_data")


def define(flag_values: flags.FlagValues, only: Sequence[str] | None = None, repeatable: Sequence[str] = ()) -> None:
    """Defines a flag for each setting.

    Args:
      flag_values: where.
      only: the names of the settings, if not all.
      repeatable: the names of the settings whose flags may be repeated. The value of such a flag is a list, or None.
    """
    for field in dataclasses.fields(Config):
        if only is not None and field.name not in only:
            continue
        default = config.words_of(field.default)
        text = field.metadata["text"]
        if field.type not in (bool, str):
            text += f"\n({config.allowed(field)})"
        shared = {"flag_values": flag_values, "module_name": field.metadata["topic"]}
        if field.name in repeatable:
            parser = flags.BooleanParser() if field.type is bool else flags.ArgumentParser()
            flag = flags.MultiFlag(parser, None, field.name, None, text, boolean=field.type is bool)
            flag.help = f"{text}\n(default: '{default}'; may be repeated)"  # shorter than what absl adds
            flags.DEFINE_flag(flag, **shared)
        elif field.type is bool:
            flags.DEFINE_boolean(field.name, field.default, text, **shared)
        else:
            flags.DEFINE_string(field.name, default, text, **shared)


def define_recipe(flag_values: flags.FlagValues) -> None:
    """Defines --recipe, which `command` replaces with the flags of that recipe."""
    text = "The settings of a published result, such as record_256_256; mlp_tf/recipes/README.md lists them."
    flags.DEFINE_string("recipe", "", text, flag_values, module_name="training")


def define_runs(flag_values: flags.FlagValues, text: str = "The run's folder.") -> None:
    """Defines --workdir for a command that reads one run or several; see `run_folders`."""
    flag = flags.MultiFlag(flags.ArgumentParser(), None, "workdir", None, text)
    flag.help = text  # without what absl adds
    flags.DEFINE_flag(flag, flag_values, module_name="data")


def define_data_dir(flag_values: flags.FlagValues) -> None:
    """Defines --data_dir for a command that reads a run's data again."""
    text = "Where the data are now, if they were moved: a folder, or the file."
    flags.DEFINE_string("data_dir", "", text, flag_values, module_name="data")


def define_plots(flag_values: flags.FlagValues) -> None:
    """Defines the flags of a command that plots: --format and --dpi."""
    text = "Format of the plots."
    flags.DEFINE_enum("format", "png", ["png", "svg", "pdf"], text, flag_values, module_name="output")
    text = "Dots per inch of the plots, which are 8 inches wide."
    flags.DEFINE_integer("dpi", 150, text, 50, 600, flag_values, module_name="output")


def plot_options(flag_values: flags.FlagValues) -> dict[str, Any]:
    """Returns how `figures.save` writes: {"format": ..., "dpi": ...}."""
    return {name: flag_values[name].value for name in ("format", "dpi")}


def given(flag_values: flags.FlagValues) -> dict[str, Any]:
    """Returns the settings that flags give, {name: value}; a flag that is not given is left out.

    Raises:
      UserError: a value is out of its range.
    """
    defined = [field.name for field in dataclasses.fields(Config) if field.name in flag_values]
    names = {name for name in defined if flag_values[name].present}
    if names & set(_OF_STRATEGY):  # one of them given, all three come from the flags
        names |= set(_OF_STRATEGY) & set(defined)
    values = {}
    for name in defined:
        words = flag_values[name].value
        if name in names and not isinstance(words, list):  # the caller takes a repeated flag's values one at a time
            values[name] = _read(name, words)
    if is_path(values.get("dataset", "")):
        values["dataset"] = os.path.abspath(values["dataset"])  # so that it is found from any folder
    return values


def to_config(flag_values: flags.FlagValues, **settings: Any) -> Config:
    """Returns the settings that the flags give, with defaults for the others.

    Args:
      flag_values: the parsed flags.
      settings: replace what the flags give, such as one of the values of a repeated flag.

    Raises:
      UserError: a value is out of its range, or two values exclude each other.
    """
    return Config(**{**given(flag_values), **settings})


def to_words(settings: Mapping[str, Any]) -> list[str]:
    """Returns the command line that gives these settings: a flag for each that is not the default."""
    defaults = {field.name: field.default for field in dataclasses.fields(Config)}
    return [f"--{name}={config.words_of(value)}" for name, value in settings.items() if value != defaults[name]]


def values_of(flag_values: flags.FlagValues, name: str) -> list[Any]:
    """Returns the different values of a flag that may be repeated.

    Raises:
      UserError: a value is out of its range.
    """
    return list(dict.fromkeys(_read(name, words) for words in flag_values[name].value))


def _read(name, words):
    if isinstance(words, bool):
        return words
    return config.read(name, os.path.expanduser(words) if name in _PATHS else words)


def path(flag_values: flags.FlagValues, name: str) -> str:
    """Returns the value of a flag that names a file or folder, `~` expanded; empty where it is not given."""
    return os.path.expanduser(flag_values[name].value or "")


def required(flag_values: flags.FlagValues, name: str) -> str:
    """Returns the folder that a flag names, `~` expanded.

    Raises:
      UserError: it was not given.
    """
    if not flag_values[name].value:
        raise UserError(f"--{name} is missing; give --{name}=FOLDER (--help says more)")
    return path(flag_values, name)


def run_folders(flag_values: flags.FlagValues, words: Sequence[str] = (), most: int | None = None) -> list[str]:
    """Returns the folders of runs on a command line, each once; `~` expanded.

    Args:
      flag_values: the parsed flags, among them --workdir of `define_runs`.
      words: the arguments that name runs.
      most: how many runs the command takes; None for any number.

    Raises:
      UserError: no run is given, or too many are.
    """
    folders = {}
    for folder in map(os.path.expanduser, [*words, *(flag_values["workdir"].value or [])]):
        folders.setdefault(os.path.realpath(folder), folder)
    if not folders:
        raise UserError("no run given; give its folder with --workdir=FOLDER (--help says more)")
    if most and len(folders) > most:
        raise UserError(f"{', '.join(folders.values())}: {len(folders)} runs; this command takes {most} at a time")
    return list(folders.values())


def make_folder(name: str, path: str) -> pathlib.Path:
    """Returns the folder that a flag names; creates it if it does not exist.

    Raises:
      UserError: it cannot be created.
    """
    try:
        pathlib.Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--{name}={path}: {error.strerror}; give a folder that can be created") from None
    return pathlib.Path(path)

"""Runs a command: flags in, one line for a mistake, an exit code out."""

import contextlib
import copy
import os
import pathlib
import sys
import textwrap
from collections.abc import Callable, Sequence

from absl import flags

import mlp_tf
from mlp_tf import UserError
from mlp_tf.base.text import printable
from mlp_tf.cli import signals, streams

# The headings of `--help`, which absl keeps as the modules that define the flags.
TOPICS = ("network", "training", "regularization", "augmentation", "data", "devices", "output")

_RECIPES = pathlib.Path(mlp_tf.__file__).parent / "recipes"


class _Typed(str):
    """A word typed on the command line, not read from a flag file."""


def run(
    main: Callable[..., int],
    doc: str,
    define_flags: Callable[[flags.FlagValues], None],
    argv: Sequence[str] | None = None,
    takes_words: bool = False,
) -> int:
    """Reads the flags, runs `main(flag_values)`, and turns what it raises into an exit code.

    Args:
      main: returns the exit code.
      doc: what `--help` prints before the flags.
      define_flags: called with the `absl.flags.FlagValues` to define the command's flags in.
      argv: the command line; the process's own by default.
      takes_words: whether `main` takes the words after the flags as a second argument; if not, they are errors.

    Returns:
      `main`'s exit code, 0 after `--help` and `--version`, 1 after a user's mistake or if stdout cannot be written,
      130 or 143 after SIGINT or SIGTERM, 141 if the reader of stdout has gone.
    """
    streams.open_closed()
    stdout = streams.Stream(sys.stdout, escapes=True)
    stderr = streams.Stream(sys.stderr)  # not escaped, as progress bars move the cursor
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr), signals.end_process():
        code, reason = streams.exit_code(_run(main, doc, define_flags, argv, takes_words), stdout)
        if reason:
            fail(reason)
        return code


def end(code: int) -> None:
    """Ends the process of a command at once: shutting TensorFlow down takes 0.6 s, in which a signal may interfere."""
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    os._exit(code)


def _run(main, doc, define_flags, argv, takes_words):
    values = flags.FlagValues()
    define_flags(values)
    flags.DEFINE_boolean("help", False, "Show this help.", values, module_name="help", short_name="h")
    flags.DEFINE_boolean("version", False, "Show the version.", values, module_name="help")
    try:
        words = _parse(values, sys.argv if argv is None else argv)
        if values["help"].value:
            print(_help(doc, values))
            return 0
        if values["version"].value:
            print(f"mlp_tf {mlp_tf.__version__}")
            return 0
        if takes_words:
            return main(values, words)
        if words:
            raise UserError(f"{' '.join(words)}: not a flag; give settings as --name=value (--help lists them)")
        return main(values)
    except (UserError, OSError) as error:
        return fail(error)


def _parse(values, argv):
    """Reads the flags of a command line, and returns the words beside them.

    Typed flags, even those that may be repeated, take precedence over those of a --flagfile, wherever it stands. Both
    take precedence over those of a --recipe.
    """
    in_files = copy.deepcopy(values)
    in_recipe = copy.deepcopy(values)
    try:
        # absl replaces a --flagfile by its lines. The file is read only here, as it may be a pipe.
        words = values.read_flags_from_files([_Typed(word) for word in argv[1:]], force_gnu=False)
        typed = [str(word) for word in words if isinstance(word, _Typed)]
        from_files = [word for word in words if not isinstance(word, _Typed)]
        rest = in_files([argv[0], *from_files])[1:] + values([argv[0], *typed])[1:]
    except UnicodeDecodeError:
        raise UserError("--flagfile: not a text file; write a flag on each line, such as --epochs=15") from None
    except (flags.Error, ValueError, RecursionError) as error:  # absl compares mistyped flags by recursion
        raise UserError(f"{str(error).removeprefix('ERROR:: ')} (--help lists the flags)") from None
    for word in words:
        if "\0" in word:
            raise UserError(f"{word}: contains a NUL character; leave it out")
    _fill_in(values, in_files)
    if "recipe" in values and values["recipe"].present:
        file = _recipe_file(values["recipe"].value)
        in_recipe([argv[0], *in_recipe.read_flags_from_files([f"--flagfile={file}"], force_gnu=False)])
        _fill_in(values, in_recipe)
    return rest


def _fill_in(values, others):
    """Sets each flag that was not given to its value in `others`, if it was given there."""
    for name in others:
        if others[name].present and not values[name].present:
            values[name].value = others[name].value
            values[name].present = others[name].present


def _recipe_file(name):
    """Returns the path of a recipe's flag file; raises UserError if there is no such recipe."""
    files = {path.stem: path for path in sorted(_RECIPES.glob("*.flags"))}
    if name not in files:
        raise UserError(f"--recipe={name}: must be one of {', '.join(files)}")
    return files[name]


def _help(doc, values):
    """Returns the text of `--help`: what the command does, and its flags by topic."""
    for module, defined in values.flags_by_module_dict().items():
        if module not in (*TOPICS, "help"):  # flags that the command itself defines
            for flag in defined:
                values.register_key_flag_for_module("output", flag)
    width = flags.get_help_width()
    paragraphs = doc.strip().split("\n\n")
    text = [each if each.startswith(" ") else textwrap.fill(each, width) for each in paragraphs]
    text.append("Flags (--flagfile=FILE reads them from a file; -h, --help; --version):")
    topics = [values.module_help(topic) for topic in TOPICS]
    return "\n".join(["\n\n".join(text), *filter(None, topics)])


def fail(error: Exception | str, code: int = 1) -> int:
    """Says what went wrong on stderr, in one line, and returns the exit code."""
    print("error:", _one_line(error), file=sys.stderr, flush=True)
    return code


def warn(*texts: str | None) -> None:
    """Prints warnings, one line each, on stderr; leaves out texts that are empty or None."""
    for text in filter(None, texts):
        print(f"WARNING: {_one_line(text)}", file=sys.stderr, flush=True)


def note(*texts: str | None) -> None:
    """Prints what the user may want to know, one line each, on stderr; leaves out texts that are empty or None."""
    for text in filter(None, texts):
        print(f"note: {_one_line(text)}", file=sys.stderr, flush=True)


def _one_line(text):
    return printable(" ".join(str(text).split()))

"""Runs a command: flags in, one line for a mistake, an exit code out."""

import os
import re
import sys

from absl import flags

from mlp_tf import UserError


def run(main, doc, define_flags, argv=None, takes_words=False):
    """Reads the flags, runs `main(flag_values)`, and turns what it raises into an exit code.

    Args:
      main: returns the exit code.
      doc: what `--help` prints before the flags.
      define_flags: called with the `absl.flags.FlagValues` to define the command's flags in.
      argv: the command line; the process's own by default.
      takes_words: whether `main` takes the words after the flags as a second argument; others refuse them.

    Returns:
      `main`'s exit code, 0 after `--help`, 1 after a user's mistake.
    """
    if sys.stderr is None:  # it was closed; the file opened now gets its number
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    values = flags.FlagValues()
    define_flags(values)
    flags.DEFINE_boolean("help", False, "Show this help.", flag_values=values)
    try:
        words = values(sys.argv if argv is None else argv)
        if values["help"].value:
            print(f"{doc.strip()}\n\nflags (also from a file, --flagfile=FILE):\n")
            # absl heads each module's flags with its name.
            print(re.sub(r"^\S.*:\n", "", values.get_help(include_special_flags=False), flags=re.MULTILINE))
            return 0
        if takes_words:
            return main(values, words[1:])
        if words[1:]:
            raise UserError(f"{' '.join(words[1:])}: not a flag; give settings as --name=value (--help lists them)")
        return main(values)
    except flags.Error as error:
        return fail(f"{str(error).removeprefix('ERROR:: ')}; --help lists the flags and their values")
    except (UserError, OSError) as error:
        return fail(error)


def fail(error, code=1):
    """Says what went wrong on stderr, in one line, and returns the exit code."""
    print("error:", " ".join(str(error).split()), file=sys.stderr, flush=True)
    return code


def warn(*texts):
    """Says what nobody may miss, a line each on stderr; leaves out texts that are empty or None."""
    for text in filter(None, texts):
        print(f"WARNING: {text}", file=sys.stderr, flush=True)

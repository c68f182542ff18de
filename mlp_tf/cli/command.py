"""Runs a command: flags in, one line for a mistake, an exit code out."""

import contextlib
import os
import re
import sys

from absl import flags

from mlp_tf import UserError
from mlp_tf.base.text import printable
from mlp_tf.cli import signals, streams
from mlp_tf.cli.parse import parse


def run(main, doc, define_flags, argv=None, takes_words=False):
    """Reads the flags, runs `main(flag_values)`, and turns what it raises into an exit code.

    Args:
      main: returns the exit code.
      doc: what `--help` prints before the flags.
      define_flags: called with the `absl.flags.FlagValues` to define the command's flags in.
      argv: the command line; the process's own by default.
      takes_words: whether `main` takes the words after the flags as a second argument; others refuse them.

    Returns:
      `main`'s exit code, 0 after `--help`, 1 after a user's mistake or where stdout cannot be written, 130 or 143
      after SIGINT or SIGTERM, 141 where the reader of stdout has gone.
    """
    streams.open_closed()
    stdout, stderr = streams.Stream(sys.stdout), streams.Stream(sys.stderr)
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr), signals.raised():
        code, reason = streams.exit_code(_run(main, doc, define_flags, argv, takes_words), stdout)
        if reason:
            fail(reason)
        return code


def end(code):
    """Ends the process of a command that is done at once: taking TensorFlow apart would take 0.6 s, open to signals."""
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    os._exit(code)


def _run(main, doc, define_flags, argv, takes_words):
    values = flags.FlagValues()
    define_flags(values)
    flags.DEFINE_boolean("help", False, "Show this help.", short_name="h", flag_values=values)
    try:
        words = parse(values, sys.argv if argv is None else argv)
        if values["help"].value:
            return _print_help(doc, values)
        if takes_words:
            return main(values, words)
        if words:
            raise UserError(f"{' '.join(words)}: not a flag; give settings as --name=value (--help lists them)")
        return main(values)
    except (UserError, OSError) as error:
        return fail(error)
    except signals.Interrupted as error:
        print("stopped", file=sys.stderr, flush=True)
        return 128 + error.number


def _print_help(doc, values):
    print(f"{doc.strip()}\n\nflags (also from a file, --flagfile=FILE):\n")
    # absl heads each module's flags with its name.
    print(re.sub(r"^\S.*:\n", "", values.get_help(include_special_flags=False), flags=re.MULTILINE))
    return 0


def fail(error, code=1):
    """Says what went wrong on stderr, in one line, and returns the exit code."""
    print("error:", _one_line(error), file=sys.stderr, flush=True)
    return code


def warn(*texts):
    """Says what nobody may miss, a line each on stderr; leaves out texts that are empty or None."""
    for text in filter(None, texts):
        print(f"WARNING: {_one_line(text)}", file=sys.stderr, flush=True)


def note(*texts):
    """Says what the user may want to know, a line each on stderr."""
    for text in texts:
        print(f"note: {_one_line(text)}", file=sys.stderr, flush=True)


def _one_line(text):
    return printable(" ".join(str(text).split()))

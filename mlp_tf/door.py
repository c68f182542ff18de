"""What every command does: flags in, one line for a mistake, an exit code out, TensorFlow kept quiet."""

import contextlib
import os
import re
import signal
import sys

from absl import flags, logging

from mlp_tf import UserError


def enter(main, doc, define_flags, argv=None, takes_words=False):
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


def required(values, name):
    """The value of a flag that must be given."""
    value = values[name].value
    if not value:
        raise UserError(f"--{name} is missing; give --{name}=FOLDER (--help says more)")
    return value


class Stop:
    """What SIGINT and SIGTERM ask for; a second one ends the process at once."""

    signal = None  # the number of the signal that came
    saves = False  # whether the command saves when asked to; until then, a signal ends the process at once

    def __init__(self, advice):
        self.advice = advice
        self.stderr = os.dup(2)  # also while TensorFlow is imported

    def asked(self):
        """The number of the signal that came, or 0."""
        return self.signal or 0

    def listen(self):
        """Takes SIGINT and SIGTERM, also from whoever took them since."""
        if not self.signal:
            for each in (signal.SIGINT, signal.SIGTERM):
                signal.signal(each, self._handle)

    def _handle(self, number, frame):
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_DFL)
        self.signal = number
        if not self.saves:
            os.write(self.stderr, f"stopped with nothing new to save; {self.advice}\n".encode())
            os._exit(128 + number)  # not an exception: a library that is being imported might swallow it


def stopped(stop, number):
    """Says that the command was stopped by a signal and has saved, and returns the exit code."""
    print(f"stopped and saved; {stop.advice}", file=sys.stderr, flush=True)
    return 128 + number


@contextlib.contextmanager
def stopping(advice):
    """Yields a `Stop` that SIGINT and SIGTERM are told to; `advice` is what the user may do then."""
    stop = Stop(advice)
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    stop.listen()
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        os.close(stop.stderr)


def progress_bar(total, done, shown=True):
    """A tqdm bar over the steps of a run, on stderr if that is a terminal and it is to be shown."""
    from tqdm import tqdm

    return tqdm(total=total, initial=done, unit=" steps", disable=not (shown and sys.stderr.isatty()), leave=False)


def import_tensorflow():
    """Imports TensorFlow without its start-up chatter.

    Some of its C++ lines are written before its logging reads any setting, so file descriptor 2 leads
    nowhere during the import; a failed import raises, and what it raises is shown.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Keeps `import tensorflow` from importing Keras, which nothing here uses: 1.5 s less.
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        import tensorflow
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
    # tensorflow-datasets warns of what the commands say themselves; TensorFlow, of a loop compiled for each run.
    logging.set_verbosity(logging.ERROR)
    tensorflow.get_logger().setLevel("ERROR")

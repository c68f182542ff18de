"""Reads a command line: flags by absl, and a line for each mistake in them."""

import difflib

from absl import flags

from mlp_tf import UserError

_AT_MOST = 3  # names that help whoever mistyped one; of more, --help tells as much


class _Typed(str):
    """A word of the command line itself, as against one of a flag file."""


def parse(values, argv):
    """Reads the flags of a command line, and returns the words beside them.

    Args:
      values: the `absl.flags.FlagValues` that the flags are defined in; it has `help` among them.
      argv: the command line, from the command's name on.

    Returns:
      The words that are no flags, without the command's name.

    Raises:
      UserError: there is no such flag, it may not have this value, or it is given twice.
    """
    try:
        # absl puts the lines of a flag file in its place. A file is read here alone: it may be a pipe.
        words = values.read_flags_from_files([_Typed(word) for word in argv[1:]], force_gnu=False)
        rest = values([argv[0], *map(str, words)])[1:]
    except UnicodeDecodeError:  # absl opens a flag file as text
        raise UserError("--flagfile: not a text file; write a flag on each line, such as --epochs=15") from None
    except flags.UnrecognizedFlagError as error:
        raise UserError(_no_such_flag(values, error.flagname)) from None
    except (flags.Error, ValueError) as error:  # a ValueError where --nodeskew=1 is given
        raise UserError(f"{str(error).removeprefix('ERROR:: ')}; --help lists the flags and their values") from None
    _refuse_nul(values)
    if not values["help"].value:
        _refuse_repeated(values, words)
    _prefer_typed(values, words)
    return rest


def _refuse_nul(values):
    for name, value in values.flag_values_dict().items():
        if "\0" in str(value):
            raise UserError(f"--{name}={value}: holds a NUL character; leave it out")


def _refuse_repeated(values, words):
    typed = {}
    for word, flag, value in _given(values, words):
        if flag.name not in typed:
            if isinstance(word, _Typed) and not isinstance(flag, flags.MultiFlag):
                typed[flag.name] = value
        elif isinstance(word, _Typed):
            raise UserError(f"--{flag.name} is given twice, as {typed[flag.name]} and as {value}; give it once")
        else:
            first = f"--{flag.name} is given as {typed[flag.name]}"
            raise UserError(f"{first}, and as {value} by a --flagfile after it; give the --flagfile first")


def _prefer_typed(values, words):
    """Gives a flag that may be repeated the values that were typed, if any were, in place of those of a flag file."""
    typed = {}
    for word, flag, value in _given(values, words):
        if isinstance(word, _Typed) and isinstance(flag, flags.MultiFlag):
            typed.setdefault(flag.name, []).append(value)
    for name, texts in typed.items():
        values[name].value = [values[name].parser.parse(text) for text in texts]


def _given(values, words):
    """(word, flag, value) of each flag among the words of a command line that absl has accepted."""
    words = iter(words)
    for word in words:
        if word == "--":
            return
        if not word.startswith("-"):
            continue
        name, equals, value = word.lstrip("-").partition("=")
        if name not in values:
            name, value = name.removeprefix("no"), "false"
        elif values[name].boolean:
            value = value or "true"
        elif not equals:
            value = next(words)
        if name in values:  # --undefok is not, nor are the flags it lets pass
            yield word, values[name], value or "''"


def _no_such_flag(values, name):
    near = [f"--{each}" for each in _nearest(values, name.lower())]
    if not near:
        return f"--{name}: no such flag; --help lists all"
    verb = "is" if len(near) == 1 else "are"
    return f"--{name}: no such flag; the nearest {verb} {', '.join(near)} (--help lists all)"


def _nearest(values, name):
    """The names of the flags that a mistyped one may stand for."""
    names = sorted({values[each].name for each in values} | {"flagfile"})
    negated = []
    if name.startswith("no"):
        booleans = [each for each in names if each in values and values[each].boolean]
        negated = [f"no{each}" for each in _near(name[2:].lstrip("_-"), booleans)]
    return negated or _near(name, names)


def _near(name, names):
    """Those of `names` near to one: by their initials, their beginning or a part; or else by a slip in typing."""
    ways = (
        [each for each in names if "".join(word[0] for word in each.split("_")) == name],
        [each for each in names if each.startswith(name)],
        [each for each in names if _is_part(name, each)],
    )
    found = (way for way in ways if 1 <= len(way) <= _AT_MOST)
    return next(found, None) or difflib.get_close_matches(name, names, n=_AT_MOST)


def _is_part(text, name):
    """Whether a word of a flag's name begins or ends so: `rate` is a part of learning_rate, and not of strategy."""
    return len(text) > 2 and any(word.startswith(text) or word.endswith(text) for word in name.split("_"))

"""Text that a terminal or a plot can show, such as class names and file names that users choose."""

import os
import unicodedata

# Control characters, lone surrogates, and line and paragraph separators.
_ESCAPED = ("Cc", "Cs", "Zl", "Zp")
_DIRECTIONS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # may reorder a line


def printable(text, keep=""):
    """Returns the text with an escape for each character that a terminal would obey, or that cannot be encoded.

    Args:
      text: str.
      keep: characters that stay as they are.
    """
    if text.isprintable():
        return text
    return "".join(
        c.encode("unicode_escape").decode()
        if c not in keep and (unicodedata.category(c) in _ESCAPED or c in _DIRECTIONS)
        else c
        for c in text
    )


def columns(text):
    """Returns how many columns of a terminal the text takes: two for a wide character, such as a Chinese one."""
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


def shorten(text, most):
    """Returns the text in at most this many columns; the middle of a long one is left out."""
    if columns(text) <= most:
        return text
    end = (most - 3) // 2
    return f"{_beginning(text, most - 3 - end)}...{_beginning(text[::-1], end)[::-1]}"


def _beginning(text, most):
    taken = 0
    for i, character in enumerate(text):
        taken += columns(character)
        if taken > most:
            return text[:i]
    return text


def plural(count, noun):
    """Returns a count with its noun: "1 step", "2 steps", "2 classes"."""
    end = "es" if noun.endswith("s") else "s"
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}{end}"


def tensorflow_reason(error):
    """Returns the first line of TensorFlow's message, without the names of its operations."""
    return str(error).rpartition("}} ")[2].partition("\n")[0]


def short_names(paths):
    """Returns a name for each path: its last part or, if two different paths share that, as much as tells them apart.

    The longer names begin below the folder that holds all of the paths.
    """
    full = [os.path.abspath(path) for path in paths]
    names = [os.path.basename(path) for path in full]
    if len(set(names)) == len(set(full)):
        return names
    start = os.path.commonpath([os.path.dirname(path) for path in full])
    return [os.path.relpath(path, start) for path in full]

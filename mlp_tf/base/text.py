"""Text for terminals and plots, such as the name of a file."""


def printable(text, keep=""):
    """Returns text with an escape for each character that cannot be printed, or that a terminal would obey.

    Args:
      text: str.
      keep: characters that stay as they are.
    """
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def shorten(text, most):
    """Returns text in at most `most` characters: a long text keeps its beginning and its end."""
    if len(text) <= most:
        return text
    end = (most - 3) // 2
    return f"{text[: most - 3 - end]}...{text[-end:]}"

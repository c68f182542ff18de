"""Text that a terminal or a figure can show, such as the name of a file of anybody's."""


def printable(text, but=""):
    """The text, with an escape for each character that cannot be shown, or that a terminal would obey.

    Args:
      text: str.
      but: characters that stay as they are.
    """
    return "".join(c if c.isprintable() or c in but else c.encode("unicode_escape").decode() for c in text)


def shorten(text, most):
    """The text in at most so many characters: of a long one its beginning and its end."""
    if len(text) <= most:
        return text
    end = (most - 3) // 2
    return f"{text[: most - 3 - end]}...{text[-end:]}"

"""How every figure looks: 8 inches wide, text of 11 points or more, colors that color-blind readers can tell apart.

Never pyplot: it keeps global state and may ask for a display.
"""

import functools
import io
import math
import pathlib
import textwrap
import warnings

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from mlp_tf import UserError
from mlp_tf.base.files import replaced
from mlp_tf.base.text import columns, printable, shorten

WIDTH = 8  # inches
# Okabe and Ito (2008); beyond these seven, three that differ from them in lightness.
COLORS = [
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999", "#332288", "#882255",
]  # fmt: skip
_STYLE = {"font.size": 11, "axes.titlesize": 12, "figure.titlesize": 13, "legend.fontsize": 11, "axes.labelsize": 11}
_CHARACTER = 0.087  # inches: the mean width of a character in 11 points


class _Figure(Figure):
    """A figure that notebooks show inline, with or without `%matplotlib inline`."""

    def _repr_png_(self):
        file = io.BytesIO()
        _write(self, file, format="png", dpi="figure")
        return file.getvalue()


def styled(draw):
    """Makes a function draw in this style, whatever style the calling program has set."""

    @functools.wraps(draw)
    def drawn(*args, **settings):
        with matplotlib.rc_context(_STYLE):
            return draw(*args, **settings)

    return drawn


def new_figure(height, title):
    """Returns an empty figure of this height in inches, plus room for its title."""
    title = "\n".join(textwrap.fill(line, 75) for line in safe_text(title).splitlines())
    figure = _Figure(figsize=(WIDTH, height + 0.3 + 0.25 * (title.count("\n") + 1)), layout="constrained")
    figure.suptitle(title)
    return figure


def add_legend(figure, handles, labels):
    """Puts a legend below the axes, in as many columns as fit, and makes the figure taller by its height."""
    lines = [line for label in labels for line in label.splitlines()]
    across = max(1, min(len(labels), 3, fitting(WIDTH, max(map(columns, lines)) + 7)))
    figure.set_figheight(figure.get_figheight() + 0.25 * math.ceil(len(lines) / across) + 0.15)
    figure.legend(handles, labels, loc="outside lower center", ncols=across, frameon=False)


def format_numbers(axis, log=False):
    """Writes the numbers of an axis as 0.02, 5 and 10,000, and makes it logarithmic if asked; call it after drawing."""
    if log:
        axis.axes.set(**{f"{axis.axis_name}scale": "log"})
        low, high = axis.get_view_interval()
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,)))
        axis.set_minor_formatter(NullFormatter())
    axis.set_major_formatter("{x:,.12g}")


def name_ticks(axis, names, inches):
    """Writes names at 0, 1, 2, ... of an axis this long; vertically if they do not fit side by side."""
    every = math.ceil(0.2 * len(names) / inches)  # a line of text is 0.2 inches high
    fits = fitting(inches, max(map(columns, names)) + 1) >= len(names)
    ticks = range(len(names))[::every]
    axis.set_ticks(ticks, names[::every], rotation=90 if axis.axis_name == "x" and not fits else 0)


def count_locator(most=5):
    """Returns a locator of at most this many intervals between whole numbers."""
    return MaxNLocator(most, integer=True, min_n_ticks=1)


def fitting(inches, characters):
    """Returns how many texts of this many characters fit side by side."""
    return int(inches / (_CHARACTER * characters))


def safe_text(text, most=None):
    """Returns text that a figure shows as it is, in at most `most` columns.

    A text between two `$` would otherwise be typeset as a formula.
    """
    text = shorten(text, most) if most else text
    return printable(text, keep="\n").replace("$", r"\$")


def save(figure, path, format="png", dpi=150):
    """Writes a figure to a file atomically, and returns its path.

    Args:
      figure: a matplotlib `Figure`.
      path: without the extension, which the format determines.
      format: png, svg or pdf.
      dpi: dots per inch of a png, and of the images in an svg or pdf.

    Raises:
      UserError: it cannot be written.
    """
    path = pathlib.Path(f"{path}.{format}")
    try:
        with replaced(path) as file:
            _write(figure, file, format, dpi)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written: {error.strerror}; free some space, allow access, or use another folder"
        ) from None
    return path


def _write(figure, file, format, dpi):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a box is shown for the character
        figure.savefig(file, dpi=dpi, format=format)

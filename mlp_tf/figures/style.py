"""How every figure looks: 8 inches wide, text of 11 points or more, colours that colour-blind readers tell apart.

Never pyplot: it keeps global state and may ask for a display.
"""

import functools
import math
import textwrap
import warnings

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from mlp_tf import UserError
from mlp_tf.base.files import replaced
from mlp_tf.base.text import printable, shorten

WIDTH = 8  # inches
# Okabe and Ito (2008); beyond these seven, three that differ from them in lightness.
COLOURS = [
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999", "#332288", "#882255",
]  # fmt: skip
_STYLE = {"font.size": 11, "axes.titlesize": 12, "figure.titlesize": 13, "legend.fontsize": 11, "axes.labelsize": 11}
_CHARACTER = 0.087  # inches, the mean width of one in 11 points


def styled(draw):
    """Makes a function draw in this style, whatever style the program that calls it has."""

    @functools.wraps(draw)
    def drawn(*args, **settings):
        with matplotlib.rc_context(_STYLE):
            return draw(*args, **settings)

    return drawn


def new_figure(height, title):
    """A figure of this height in inches, and room for its title besides."""
    lines = wrapped(title)
    figure = Figure(figsize=(WIDTH, height + 0.3 + 0.25 * (lines.count("\n") + 1)), layout="constrained")
    figure.suptitle(lines)
    return figure


def legend(figure, handles, labels):
    """Puts a legend below the axes, in as many columns as fit, and makes the figure higher by its lines."""
    columns = max(1, min(len(labels), 3, fitting(WIDTH, max(map(len, labels)) + 7)))
    figure.set_figheight(figure.get_figheight() + 0.25 * math.ceil(len(labels) / columns) + 0.15)
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False)


def decimal(axis):
    """Writes the numbers of a logarithmic axis as people do: 0.02, 0.05, 0.1."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def fitting(inches, characters):
    """How many texts of so many characters fit beside each other."""
    return int(inches / (_CHARACTER * characters))


def shown(text, most=None):
    """Text as a figure shows it, in at most so many characters: what stands between two `$` were a formula else."""
    text = shorten(text, most) if most else text
    return printable(text, keep="\n").replace("$", r"\$")


def wrapped(title):
    """A title in lines that fit."""
    return "\n".join(textwrap.fill(line, 75) for line in shown(title).splitlines())


def save(figure, path, format, dpi):
    """Writes a figure, replacing the file at once; returns the path.

    Args:
      path: without the ending, which is the format's.
      format: png, svg or pdf.
      dpi: dots an inch, of all that is made of dots.

    Raises:
      UserError: it cannot be written.
    """
    path = path.with_name(f"{path.name}.{format}")
    try:
        with replaced(path) as file, warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing")  # in a name, which is shown with a box then
            figure.savefig(file, dpi=dpi, format=format)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written: {error.strerror}; make room or access, or use another folder"
        ) from None
    return path

"""Recognises picture files with a trained run: the class of each, and the three most probable ones.

    python -m mlp_tf.predict --workdir=RUN digit.png photo.jpg
    python -m mlp_tf.predict --workdir=RUN --show --json *.png

--show writes what the network sees, beside its prediction, to predictions.png in the current folder.
A file that cannot be read gets a line on stderr; the others are predicted, and the exit code is 1.
"""

import json
import pathlib
import sys

from absl import flags as absl_flags

from mlp_tf import UserError
from mlp_tf.cli import app, flags, quiet
from mlp_tf.runs.folder import read_run


def define_flags(values):
    """Defines the flags of this command."""
    absl_flags.DEFINE_string("workdir", None, "The run's folder.", flag_values=values)
    absl_flags.DEFINE_boolean("show", False, "Write predictions.png: what the network sees.", flag_values=values)
    absl_flags.DEFINE_boolean("json", False, "Print a JSON object for each file instead of words.", flag_values=values)


def main(values, paths):
    """Predicts the pictures on the command line; returns the exit code."""
    workdir = flags.required(values, "workdir")
    if not paths:
        raise UserError("no picture given; name one or more files after the flags")
    shape = read_run(workdir).description.data.image_shape
    if len(shape) != 2:
        raise UserError(
            f"--workdir={workdir}: was trained on images of shape {list(shape)}; pictures need grey images, [H, W]"
        )
    quiet.import_tensorflow()
    import numpy as np

    from mlp_tf.data.warp import deskew
    from mlp_tf.runs import result

    read, images, code = _read(paths, shape)
    if not read:
        return code
    run = result.load(workdir)
    app.warn(*run.warnings)
    probabilities = result.probabilities(run, np.stack(images))
    for path, row in zip(read, probabilities, strict=True):
        print(_line(path, row, values["json"].value), flush=True)
    if values["show"].value:
        seen = deskew(np.stack(images)).numpy() if run.config.deskew else images
        print(f"Picture: {_draw(read, seen, probabilities)}", file=sys.stderr)
    return code


def _read(paths, shape):
    """(paths that were read, their images, exit code); a line on stderr for each other path."""
    from mlp_tf.data import pictures

    read, images, code = [], [], 0
    for path in paths:
        try:
            images.append(pictures.read(path, *shape))
            read.append(path)
        except UserError as error:
            code = app.fail(error)
    return read, images, code


def _draw(paths, images, probabilities):
    from mlp_tf import figures

    names = [pathlib.Path(path).name for path in paths]
    names = [name if len(name) <= 20 else f"{name[:9]}...{name[-8:]}" for name in names]
    captions = [f"{n}\n{row.argmax()} ({100 * row.max():.1f} %)" for n, row in zip(names, probabilities, strict=True)]
    grid = figures.image_grid(images, captions, "What the network sees, and what it says", columns=5)
    return figures.save(grid, pathlib.Path("predictions.png"))


def _line(path, probabilities, as_json):
    best = probabilities.argsort(kind="stable")[::-1][:3]
    if as_json:
        top = [{"class": int(c), "probability": float(probabilities[c])} for c in best]
        return json.dumps({"file": path, **top[0], "top": top})
    return f"{path}: {best[0]}   " + "  ".join(f"{c}: {probabilities[c]:.4f}" for c in best)


if __name__ == "__main__":
    app.end(app.run(main, __doc__, define_flags, takes_words=True))

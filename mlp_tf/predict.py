"""Recognises picture files with a trained run, or an ensemble: the class of each, and the three most probable ones.

    python -m mlp_tf.predict --workdir=RUN digit.png photo.jpg
    python -m mlp_tf.predict --workdir=RUN --show --json FOLDER
    python -m mlp_tf.predict --workdir=RUN1 --workdir=RUN2 digit.png

Of several runs, an ensemble on the same data, the mean of their probabilities answers.
Of a folder the pictures in it are recognised. --show writes what the network sees, beside its prediction, to
predictions.png in the current folder; of more than 100 pictures the first 100. --json prints an object for each file:
file, class (its number), name, probability, top, the same of the three most probable classes, and warnings, texts.
An answer that should not be trusted says why: ink that does not look like one digit, or a low probability.
A picture of the size of a run's own pictures is taken as it is, as those were; all others are prepared as MNIST's were:
cut out, scaled and centred, bright on black. A file that cannot be read gets a line on stderr; the others are
predicted, and the exit code is 1.
"""

import json
import os
import pathlib
import sys

from absl import flags as absl_flags

from mlp_tf import UserError
from mlp_tf.base.text import printable, shorten
from mlp_tf.cli import command, flags, quiet
from mlp_tf.config import is_file
from mlp_tf.runs.folder import read_folder

SHOWN = 100  # pictures in predictions.png
_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff")  # what is read in a folder


def define_flags(values):
    """Defines the flags of this command."""
    flags.define_ensemble(values)
    absl_flags.DEFINE_boolean("show", False, "Write predictions.png: what the network sees.", flag_values=values)
    absl_flags.DEFINE_boolean("json", False, "Print a JSON object for each file instead of words.", flag_values=values)
    flags.define_plots(values)


def main(values, paths):
    """Predicts the pictures on the command line; returns the exit code."""
    workdirs = flags.required(values, "workdir")
    if not paths:
        raise UserError("no picture given; name one or more files, or a folder, after the flags")
    trained_on = read_folder(workdirs[0]).description.data
    shape = trained_on.example_shape
    has_colors = shape[2:] == (3,) and trained_on.is_user_data
    if trained_on.dtype != "uint8" or not (len(shape) == 2 or has_colors):
        raise UserError(
            f"--workdir={workdirs[0]}: was trained on {trained_on.dtype} of shape {list(shape)}; pictures need a run "
            "that was trained on images, uint8 [H, W] or [H, W, 3]; for feature rows, use "
            "runs.load(workdir).probabilities"
        )
    quiet.import_tensorflow()
    import numpy as np

    from mlp_tf.runs.trained import load_ensemble

    read, prepared, code = _read(paths, trained_on)
    if not read:
        return code
    ensemble = load_ensemble(workdirs)
    command.warn(*ensemble.warnings)
    names = ensemble.class_names
    images = np.stack([each.image for each in prepared])
    probabilities = ensemble.probabilities(images)
    for path, each, row in zip(read, prepared, probabilities, strict=True):
        print(_line(path, row, names, doubts(ensemble, each, row), values["json"].value), flush=True)
    if values["show"].value:
        answers = [f"{names[row.argmax()]} ({100 * row.max():.1f} %)" for row in probabilities]
        captions = [
            f"{shorten(os.path.basename(path), 20)}\n{answer}" for path, answer in zip(read, answers, strict=True)
        ]
        print(f"Picture: {_show(ensemble, images, captions, flags.plot_options(values))}", file=sys.stderr)
    return code


def doubts(trained, prepared, probabilities):
    """Returns why an answer should not be trusted, as texts: what is odd about the ink, or a low probability.

    Args:
      trained: `TrainedRun` or `Ensemble`.
      prepared: `handwriting.images.Prepared`.
      probabilities: of each class.
    """
    if probabilities.max() >= trained.trusted:
        return [*prepared.warnings]
    return [*prepared.warnings, f"a probability below {trained.trusted:.2f}"]


def _files(path):
    """The pictures in a folder, sorted by their names, without hidden ones; any other path itself."""
    if not os.path.isdir(path) or not os.access(path, os.R_OK):
        return [path]
    files = [os.path.join(path, name) for name in sorted(os.listdir(path)) if not name.startswith(".")]
    pictures = [file for file in files if file.lower().endswith(_SUFFIXES) and os.path.isfile(file)]
    return pictures or [path]


def _read(paths, trained_on):
    """(paths that were read, the `Prepared` of each, exit code); a line on stderr for each other path."""
    from mlp_tf.handwriting.images import Prepared, read

    done, prepared, code = [], [], 0
    height, width = trained_on.example_shape[:2]
    others = 0  # pictures that are no such images yet
    for path in (file for each in paths for file in _files(each)):
        try:
            if os.path.isdir(path):
                raise UserError(f"{path}: a folder without pictures ({', '.join(_SUFFIXES)}) that can be read")
            image = _read_as_it_is(path, trained_on.example_shape) if trained_on.is_user_data else None
            prepared.append(read(path, height, width) if image is None else Prepared(image))
            done.append(path)
            others += image is None
        except UserError as error:
            code = command.fail(error)
    if trained_on.is_user_data and others and not is_file(trained_on.name):
        command.note(
            f"{others:,} of {len(done):,} pictures are not {width} x {height}, and were prepared as MNIST's were"
        )
    return done, prepared, code


def _read_as_it_is(path, shape):
    """A picture of the size of the run's own, as those were; None of another, if it can be prepared."""
    import numpy as np

    from mlp_tf.data import image_folder

    height, width, *colours = shape
    try:
        pixels = image_folder.read_pixels(path)
    except UserError:
        if colours:
            raise
        return None  # such as one that is transparent
    if pixels.shape[:2] == (height, width) and pixels.ndim <= len(shape):
        return np.broadcast_to(pixels.reshape(height, width, -1), (height, width, 3)) if colours else pixels
    if colours:
        raise UserError(
            f"{path}: {pixels.shape[1]} x {pixels.shape[0]} pixels; must be {width} x {height}, as the run's images"
        )
    return None


def _show(ensemble, images, captions, pictures):
    """The path of a picture of the first images, as the network sees them, above their captions."""
    from mlp_tf import figures
    from mlp_tf.data.augmentation import deskew

    seen = images[:SHOWN]
    title = "What the network sees, and what it says"
    if len(images) > SHOWN:
        command.note(f"the picture shows the first {SHOWN} of {len(images):,}")
        title += f": the first {SHOWN} of {len(images):,} pictures"
    # Where just some of an ensemble set images upright, the picture shows them as the others see them.
    seen = deskew(seen).numpy() if all(run.config.deskew for run in ensemble.members) else seen
    grid = figures.image_grid(seen, captions[:SHOWN], f"{title}\n{ensemble.title}", columns=5)
    return figures.save(grid, pathlib.Path("predictions"), **pictures)


def _line(path, probabilities, names, doubts, as_json):
    best = probabilities.argsort(kind="stable")[::-1][:3]
    top = [{"class": int(c), "name": names[c], "probability": float(probabilities[c])} for c in best]
    if as_json:
        return json.dumps({"file": path, **top[0], "top": top, "warnings": doubts})
    shown = [(printable(each["name"]), each["probability"]) for each in top]
    answer = f"{printable(path)}: {shown[0][0]}   " + "  ".join(
        f"{name}: {probability:.4f}" for name, probability in shown
    )
    return f"{answer}   not to be trusted: {'; '.join(doubts)}" if doubts else answer


if __name__ == "__main__":
    command.end(command.run(main, __doc__, define_flags, takes_words=True))

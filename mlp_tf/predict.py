"""Classifies images or rows with a trained run, or an ensemble: the class of each, and the three most probable ones.

    python -m mlp_tf.predict --workdir=RUN digit.png photo.jpg
    python -m mlp_tf.predict --workdir=RUN --show --json FOLDER
    python -m mlp_tf.predict --workdir=RUN1 --workdir=RUN2 digit.png
    python -m mlp_tf.predict --workdir=RUN --out=answers.csv test.csv

The answer of several runs, an ensemble on the same data, is the mean of their probabilities. A folder stands for the
images in it. --show writes what the network sees, with its answers, to predictions.png in the current folder or in
--out; at most the first 100 images. --json prints an object for each file: file, class (its number), name,
probability, top (the same for the three most probable classes) and warnings (texts); everything else goes to stderr.

An answer of low confidence says why: ink that does not look like one digit, or a low probability. Every image is made
light on dark or dark on light, like the training images. An image of their size is not changed otherwise, unless they
are framed like MNIST's and it is not. All others are prepared as MNIST's were: cut out, scaled and centered. A file
that cannot be read gets a line on stderr; the others are predicted, and the exit code is 1.

A FILE.csv or FILE.npz gets a line for each row. The columns of a table are matched by name with those of the run. A
column label is ignored. Of columns that the run does not know, one called id or ending in Id, ID or _id, such as
PassengerId, names the rows, which are counted from 1 otherwise; the rest is ignored, with a note. A run on arrays or
images knows no names, and takes the columns in their order. Of an .npz file, x_test or x is predicted, or the only
array. stderr says how many answers have low confidence.

--out=FILE.csv writes the answers for rows to a file instead, in Kaggle's layout: the id, and Label, the name of the
class. Without such a column, the id is the count, called ImageId if the run is on images, else Id. --json prints an
object for each row: row (from 1), id (if there is such a column), class, name, probability and top.
"""

import csv
import io
import json
import os
import pathlib
import sys

from absl import flags as absl_flags

from mlp_tf import UserError
from mlp_tf.base import files
from mlp_tf.base.text import plural, printable, short_names, shorten
from mlp_tf.cli import command, flags, quiet
from mlp_tf.runs.folder import read_folder

IN_PLOT = 100  # images in predictions.png
# Endings of the files that are read in a folder.
_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm")
_MOST_SKIPPED = 20  # names in a note


def define_flags(values):
    """Defines the flags of this command."""
    flags.define_runs(values, "A run's folder. Several runs on the same data are an ensemble.")
    absl_flags.DEFINE_boolean("show", False, "Write predictions.png: what the network sees.", flag_values=values)
    text = "Print a JSON object for each file or row instead of words."
    absl_flags.DEFINE_boolean("json", False, text, flag_values=values)
    text = "Folder for predictions.png; for rows, the .csv file to write."
    absl_flags.DEFINE_string("out", ".", text, flag_values=values)
    flags.define_plots(values)


def main(values, paths):
    """Predicts the images or rows on the command line; returns the exit code."""
    workdirs = flags.run_folders(values)
    as_json = values["json"].value
    if not paths:
        raise UserError("no image given; name one or more files, or a folder, after the flags")
    if tables := [path for path in paths if path.lower().endswith((".csv", ".npz"))]:
        if len(paths) > 1:
            raise UserError(f"{tables[0]}: {len(paths):,} files are given; give one table at a time")
        return _predict_rows(values, workdirs, tables[0])
    if values["out"].present and not values["show"].value:
        raise UserError(
            f"--out={values['out'].value}: for image files, the folder of --show; add --show, or leave it out"
        )
    trained_on = _read_data(workdirs[0])
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
    warnings = [list_warnings(ensemble, *answer) for answer in zip(prepared, probabilities, strict=True)]
    for path, row, texts in zip(read, probabilities, warnings, strict=True):
        line = _json({"file": path}, row, names, warnings=texts) if as_json else _line(path, row, names, texts)
        print(line, flush=True)
    if values["show"].value:
        from mlp_tf import figures

        framed = [i for i, texts in enumerate(warnings) if texts]
        figure = _draw(ensemble, read, images, probabilities, framed)
        folder = flags.make_folder("out", flags.path(values, "out"))
        path = figures.save(figure, folder / "predictions", **flags.plot_options(values))
        print(printable(f"Plot: {path}"), file=sys.stderr if as_json else sys.stdout)
    return code


def _predict_rows(values, workdirs, path):
    """Predicts the rows of a table or of an array; returns the exit code."""
    as_json = values["json"].value
    out = flags.path(values, "out") if values["out"].present else ""
    if values["show"].value:
        raise UserError("--show: draws image files only; leave it out")
    if out and (not out.lower().endswith(".csv") or os.path.realpath(out) == os.path.realpath(path)):
        raise UserError(f"--out={out}: must be another file that ends in .csv, as the answers are a table")
    quiet.import_tensorflow()
    from mlp_tf import data
    from mlp_tf.runs.trained import load_ensemble

    ensemble = load_ensemble(workdirs)
    command.warn(*ensemble.warnings)
    names = ensemble.class_names
    first = ensemble.members[0]
    rows = data.new_rows(path, first.description.data, first.config)
    command.note(*rows.notes)
    probabilities = ensemble.probabilities(rows.examples)
    ids = rows.ids or range(1, len(probabilities) + 1)
    if as_json or not out:
        for i, (each, row) in enumerate(zip(ids, probabilities, strict=True), start=1):
            about = {"row": i, "id": each} if rows.ids else {"row": i}
            print(_json(about, row, names) if as_json else _line(str(each), row, names))
    if doubted := int((probabilities.max(axis=1) < ensemble.trusted).sum()):
        command.warn(
            f"{doubted:,} of {plural(len(probabilities), 'row')} have low confidence: a probability below "
            f"{ensemble.trusted:.2f}"
        )
    if out:
        id_name = rows.id_name or ("Id" if rows.examples.ndim == 2 else "ImageId")
        answers = [names[c] for c in probabilities.argmax(axis=1)]
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([(id_name, "Label"), *zip(ids, answers, strict=True)])
        files.write(pathlib.Path(out), text.getvalue())
        print(printable(f"Answers: {out}, {plural(len(answers), 'row')}"), file=sys.stderr if as_json else sys.stdout)
    return 0


def _read_data(workdir):
    """Returns the `Description` of a run; raises UserError if the run does not take image files."""
    description = read_folder(workdir).description
    data = description.data
    shape = data.example_shape
    is_in_color = shape[2:] == (3,) and data.is_user_data
    if data.dtype != "uint8" or not (len(shape) == 2 or is_in_color):
        raise UserError(
            f"--workdir={workdir}: was trained on {data.dtype} of shape {list(shape)}; image files need a run that was "
            "trained on images, uint8 [H, W] or [H, W, 3]; give rows as a FILE.csv or FILE.npz"
        )
    return description


def list_warnings(trained, prepared, probabilities):
    """Returns why an answer has low confidence, as texts: what is odd about the ink, or a low probability.

    Args:
      trained: `TrainedRun` or `Ensemble`.
      prepared: `handwriting.images.Prepared`.
      probabilities: of each class.
    """
    if probabilities.max() >= trained.trusted:
        return [*prepared.warnings]
    return [*prepared.warnings, f"a probability below {trained.trusted:.2f}"]


def _files(path):
    """Returns the images in a folder, sorted by name, and notes what it skips; any other path stays as it is."""
    if not os.path.isdir(path) or not os.access(path, os.R_OK):
        return [path]
    names = sorted(name for name in os.listdir(path) if not name.startswith("."))
    images = [name for name in names if name.lower().endswith(_SUFFIXES) and os.path.isfile(os.path.join(path, name))]
    skipped = sorted(set(names) - set(images))
    if images and skipped:
        more = f" and {len(skipped) - _MOST_SKIPPED:,} more" if len(skipped) > _MOST_SKIPPED else ""
        command.note(f"{path}: skipped {', '.join(skipped[:_MOST_SKIPPED])}{more} (not {', '.join(_SUFFIXES)})")
    return [os.path.join(path, name) for name in images] or [path]


def _read(paths, trained_on):
    """Returns (paths that were read, the `Prepared` of each, exit code); a path that cannot be read gets a line.

    Args:
      paths: of image files, and folders.
      trained_on: `Description` of a run on images.
    """
    from mlp_tf.handwriting import images

    done = []
    prepared = []
    code = 0
    shape = trained_on.data.example_shape
    height, width = shape[:2]
    style = trained_on.ink_style
    others = 0  # images of another size
    for path in (file for each in paths for file in _files(each)):
        try:
            if os.path.isdir(path):
                raise UserError(f"{path}: a folder without images ({', '.join(_SUFFIXES)}) that can be read")
            pixels = _read_as_it_is(path, shape, trained_on.config.resize)
            if pixels is None:
                prepared.append(images.read(path, height, width, style))
            else:
                prepared.append(images.fit(pixels, style) if style else images.Prepared(pixels))
            others += pixels is None
            done.append(path)
        except UserError as error:
            code = command.fail(error)
    if others and not (style and style.is_like_mnist):
        command.note(
            f"{others:,} of {len(done):,} images are not {width} x {height}, and were prepared as MNIST's were"
        )
    return done, prepared, code


def _read_as_it_is(path, shape, resize):
    """Returns the pixels of an image of the size of the run's images; None for others, which must be prepared.

    If the run resizes images, it resizes this one too.
    """
    import numpy as np

    from mlp_tf.data import image_folder

    height, width, *channels = shape
    with image_folder.open_image(path) as image:
        size = image.size
    if size != (width, height) and not resize:
        if channels:
            raise UserError(f"{path}: {size[0]} x {size[1]} pixels; must be {width} x {height}, like the run's images")
        return None
    try:
        pixels = image_folder.resized(image_folder.read_pixels(path), resize)
    except UserError:
        if channels:
            raise
        return None  # such as a transparent image
    if channels:
        return np.broadcast_to(pixels.reshape(height, width, -1), (height, width, 3))
    return pixels if pixels.ndim == 2 else None


def _draw(ensemble, paths, images, probabilities, framed):
    """Returns a figure of the first images, as the network sees them, with its answers."""
    from mlp_tf import figures
    from mlp_tf.data.augmentation import deskew

    seen = images[:IN_PLOT]
    title = f"{ensemble.title}\nwhat the network sees, and its answers"
    if len(images) > IN_PLOT:
        command.note(f"the plot shows the first {IN_PLOT} of {len(images):,}")
        title += f": the first {IN_PLOT} of {len(images):,} images"
    if framed:
        title += "; framed: low confidence"
    # If only some members of an ensemble set images upright, the plot shows what the others see.
    seen = deskew(seen).numpy() if all(run.config.deskew for run in ensemble.members) else seen
    captions = [
        f"{shorten(name, 28)}\n{ensemble.class_names[row.argmax()]} ({100 * row.max():.1f} %)"
        for name, row in zip(short_names(paths[:IN_PLOT]), probabilities, strict=False)
    ]
    return figures.plot_images(seen, captions, title, across=5, framed=framed)


def _best(probabilities, names):
    """Returns {"class", "name", "probability"} of the three most probable classes."""
    best = probabilities.argsort(kind="stable")[::-1][:3]
    return [{"class": int(c), "name": names[c], "probability": float(probabilities[c])} for c in best]


def _json(about, probabilities, names, **more):
    """Returns the JSON object of a file or row, which begins with the items `about` it."""
    top = _best(probabilities, names)
    return json.dumps({**about, **top[0], "top": top, **more})


def _line(name, probabilities, names, warnings=()):
    """Returns the line in words of a file or row of this name."""
    top = _best(probabilities, names)
    answers = "  ".join(f"{printable(each['name'])}: {each['probability']:.4f}" for each in top)
    text = f"{printable(name)}: {printable(top[0]['name'])}   {answers}"
    return f"{text}   low confidence: {'; '.join(warnings)}" if warnings else text


if __name__ == "__main__":
    command.end(command.run(main, __doc__, define_flags, takes_words=True))

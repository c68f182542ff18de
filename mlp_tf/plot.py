"""Draws training runs: curves.png (cost and accuracy over the epochs) and weights.png (the first layer).

    python -m mlp_tf.plot --workdir=RUN
    python -m mlp_tf.plot --workdir=RUN1 --workdir=RUN2 --out=FOLDER        (both in one curves.png)

Works while a run is still training, too.
"""

import pathlib
import sys

from absl import flags as absl_flags

from mlp_tf import UserError
from mlp_tf.cli import app, flags, quiet
from mlp_tf.runs.folder import read_run


def define_flags(values):
    """Defines the flags of this command."""
    absl_flags.DEFINE_multi_string("workdir", None, "A run's folder; repeat it to compare runs.", flag_values=values)
    absl_flags.DEFINE_string("out", "", "Folder for the pictures; empty: the run's own.", flag_values=values)
    absl_flags.DEFINE_boolean("weights", True, "Draw weights.png too (imports TensorFlow).", flag_values=values)


def main(values):
    """Draws the runs that the flags name; returns the exit code."""
    workdirs = flags.required(values, "workdir")
    runs = [read_run(path) for path in dict.fromkeys(pathlib.Path(path) for path in workdirs)]
    out = flags.path(values, "out")
    if len(runs) > 1 and not out:
        raise UserError("several runs in one picture: say where it goes with --out=FOLDER")
    rows = {str(run.path): run.read_metrics() for run in runs}
    for path, its_rows in rows.items():
        if not its_rows:
            raise UserError(f"--workdir={path}: no epoch has ended yet, so there is nothing to draw; try again later")
    from mlp_tf import figures

    out = flags.make_folder("out", out or workdirs[0])
    names = dict(zip(rows, _names(runs), strict=True))
    curves = figures.curves({names[path]: its_rows for path, its_rows in rows.items()})
    print(f"Picture: {figures.save(curves, out / 'curves.png')}", flush=True)
    if values["weights"].value:
        _draw_weights(runs[0], out)
    return 0


def _names(runs):
    """Short names that tell the runs apart: their folders', or whole paths where these are equal."""
    short = [run.path.resolve().name for run in runs]
    return short if len(set(short)) == len(short) else [str(run.path) for run in runs]


def _draw_weights(run, out):
    shape = run.description.data.image_shape
    if len(shape) < 2:
        print("weights.png: not drawn, as the examples are no images", file=sys.stderr)
        return
    quiet.import_tensorflow()
    from mlp_tf import figures
    from mlp_tf.runs import result

    trained = result.load(run.path)
    app.warn(*trained.warnings)
    first = trained.weights["h1"]
    title = f"First layer of {trained.title}: weights of {min(64, first.shape[1])} of {first.shape[1]} hidden units"
    print(f"Picture: {figures.save(figures.first_layer(first, shape, title), out / 'weights.png')}", flush=True)


if __name__ == "__main__":
    app.end(app.run(main, __doc__, define_flags))

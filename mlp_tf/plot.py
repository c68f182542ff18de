"""Draws training runs: curves.png (cost and accuracy over the epochs) and weights.png (the first layer).

    python -m mlp_tf.plot --workdir=RUN
    python -m mlp_tf.plot --workdir=RUN1 --workdir=RUN2 --out=FOLDER  (one plot)

Several runs are named by the settings in which they differ; each has its own weights-NAME.png. Works while a run is
still training, too.
"""

import sys

from absl import flags as absl_flags

from mlp_tf import UserError
from mlp_tf.cli import command, flags, quiet
from mlp_tf.runs import table
from mlp_tf.runs.folder import read_folder


def define_flags(values):
    """Defines the flags of this command."""
    absl_flags.DEFINE_multi_string("workdir", None, "A run's folder; repeat it to compare runs.", flag_values=values)
    absl_flags.DEFINE_string("out", "", "Folder for the pictures; empty: the run's own.", flag_values=values)
    absl_flags.DEFINE_boolean("weights", True, "Draw the weights too (imports TensorFlow).", flag_values=values)
    flags.define_plots(values)


def main(values):
    """Draws the runs that the flags name; returns the exit code."""
    workdirs = flags.required(values, "workdir")
    runs = [read_folder(path) for path in workdirs]
    out = flags.path(values, "out")
    if len(runs) > 1 and not out:
        raise UserError("several runs in one picture: say where it goes with --out=FOLDER")
    metrics = [run.read_metrics() for run in runs]
    for run, rows in zip(runs, metrics, strict=True):
        if not rows:
            raise UserError(
                f"--workdir={run.path}: no epoch has ended yet, so there is nothing to draw; try again later"
            )
    from mlp_tf import figures

    out, pictures = flags.make_folder("out", out or workdirs[0]), flags.plot_options(values)
    print(f"Picture: {figures.save(_curves(runs, metrics), out / 'curves', **pictures)}", flush=True)
    if values["weights"].value:
        _draw_weights(runs, out, pictures)
    return 0


def _curves(runs, metrics):
    from mlp_tf import figures

    if len(runs) > 1:
        return figures.curves(dict(zip(_names(runs), metrics, strict=True)), f"Training of {len(runs)} runs")
    [run], [rows] = runs, metrics
    title = f"Training of {run.description.title(run.path, len(rows))}"
    patience = run.description.config.patience
    stopped = f"stopped by --patience={patience}" if run.results and run.results.stopped_early else ""
    return figures.curves({run.path.name: rows}, title, stopped)


def _names(runs):
    """What tells the runs apart: the settings in which they differ, or else their folders."""
    labels = table.labels([run.description for run in runs])
    if len(set(labels)) == len(labels):
        return labels
    folders = [run.path.resolve().name for run in runs]
    folders = folders if len(set(folders)) == len(folders) else [str(run.path) for run in runs]
    return [f"{folder}: {label}" if label else folder for folder, label in zip(folders, labels, strict=True)]


def _draw_weights(runs, out, plots):
    """Draws the first layer of each run that was trained on images."""
    drawn = set()
    for run in runs:
        stem = f"weights-{run.path.resolve().name}" if len(runs) > 1 else "weights"
        name = stem
        number = 1
        while name in drawn:  # folders of the same name
            number += 1
            name = f"{stem}-{number}"
        drawn.add(name)
        _draw_first_layer(run, out / name, plots)


def _draw_first_layer(run, path, pictures):
    shape = run.description.data.example_shape
    if len(shape) < 2:
        print(f"{path.name}: not drawn, as the examples are no images", file=sys.stderr)
        return
    quiet.import_tensorflow()
    from mlp_tf import figures
    from mlp_tf.runs.trained import load

    trained = load(run.path)
    command.warn(*trained.warnings)
    first = trained.weights["h1"]
    following = trained.weights.get("h2", trained.weights["out"])
    units = first.shape[1]
    most = min(64, units)
    title = f"Weights of the first layer: {most} of {units} units, by their outgoing weights"
    figure = figures.first_layer(first, following, shape, f"{title}\nof {trained.title}", most=most)
    print(f"Picture: {figures.save(figure, path, **pictures)}", flush=True)


if __name__ == "__main__":
    command.end(command.run(main, __doc__, define_flags))

"""Draws training runs: curves.png (cost and accuracy over the epochs) and weights.png (the first layer).

    python -m mlp_tf.plot RUN
    python -m mlp_tf.plot RUN1 RUN2 --out=FOLDER  (one plot)

RUN is a run's folder; --workdir=RUN names it too. Several runs are labeled with their folders and with the settings in
which they differ; the weights of each go to weights-NAME.png. It also works while a run is still training.
"""

import sys

from absl import flags as absl_flags

from mlp_tf import UserError
from mlp_tf.base.text import plural, printable, short_names
from mlp_tf.cli import command, flags, quiet
from mlp_tf.runs import table
from mlp_tf.runs.folder import read_folder


def define_flags(values):
    """Defines the flags of this command."""
    flags.define_runs(values, "A run's folder; repeat it to compare runs.")
    absl_flags.DEFINE_string("out", "", "Folder for the plots; empty: the run's own.", flag_values=values)
    absl_flags.DEFINE_boolean("weights", True, "Draw the weights too (imports TensorFlow).", flag_values=values)
    flags.define_plots(values)


def main(values, words):
    """Draws the runs that the command line names; returns the exit code."""
    workdirs = flags.run_folders(values, words)
    runs = [read_folder(path) for path in workdirs]
    out = flags.path(values, "out")
    if len(runs) > 1 and not out:
        raise UserError("several runs in one plot: say where it goes with --out=FOLDER")
    metrics = [run.read_metrics() for run in runs]
    for run, rows in zip(runs, metrics, strict=True):
        if not rows:
            raise UserError(
                f"--workdir={run.path}: no epoch has ended yet, so there is nothing to draw; try again later"
            )
    from mlp_tf import figures

    folder = flags.make_folder("out", out or workdirs[0])
    options = flags.plot_options(values)
    print(f"Plot: {figures.save(_draw_curves(runs, metrics), folder / 'curves', **options)}", flush=True)
    if not values["weights"].value:
        return 0
    used = set()
    for run in runs:
        stem = f"weights-{run.path.resolve().name}" if len(runs) > 1 else "weights"
        name = stem
        number = 1
        while name in used:  # folders of the same name
            number += 1
            name = f"{stem}-{number}"
        used.add(name)
        if len(run.description.data.example_shape) < 2:
            print(printable(f"{name}: not drawn, as the examples are not images"), file=sys.stderr)
        else:
            print(f"Plot: {figures.save(_draw_weights(run.path), folder / name, **options)}", flush=True)
    return 0


def _draw_curves(runs, metrics):
    from mlp_tf import figures

    if len(runs) > 1:
        differences = table.labels([run.description for run in runs])
        names = zip(short_names([run.path for run in runs]), differences, strict=True)
        names = [f"{name}: {difference}" if difference else name for name, difference in names]
        monitors = {run.description.config.monitor for run in runs}
        monitor = monitors.pop() if len(monitors) == 1 else "val_cost"
        title = f"Training of {len(runs)} runs"
        return figures.plot_curves(dict(zip(names, metrics, strict=True)), title, monitor=monitor)
    [run], [rows] = runs, metrics
    title = f"Training of {run.description.title(run.path, len(rows))}"
    config = run.description.config
    stopped = f"stopped by --patience={config.patience}" if run.results and run.results.stopped_early else ""
    return figures.plot_curves({run.path.name: rows}, title, stopped, config.monitor)


def _draw_weights(path):
    quiet.import_tensorflow()
    from mlp_tf import figures
    from mlp_tf.runs.trained import load

    run = load(path)
    command.warn(*run.warnings)
    first, *others = run.weights.values()
    units = first.shape[1]
    most = min(64, units)
    which = plural(units, "unit" if others else "class")
    if most < units:
        which = f"the {most} of {which} with the largest {'outgoing ' * bool(others)}weights"
    title = f"{run.title}\nweights of the first layer: {which}"
    outgoing = others[0] if others else first.T
    names = None if others else run.class_names
    shape = run.description.data.example_shape
    return figures.plot_first_layer(first, outgoing, shape, title, most=most, names=names)


if __name__ == "__main__":
    command.end(command.run(main, __doc__, define_flags, takes_words=True))

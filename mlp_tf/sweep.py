"""Trains a network for each combination of settings and each seed, and compares them: a table, a CSV file, a plot.

    python -m mlp_tf.sweep --hidden=16,16 --hidden=256,256 --workdir=DIR
    python -m mlp_tf.sweep --workdir=DIR     (the table of the runs in it)

Each flag of the network and its training may be repeated: all combinations are trained. The table has all runs in DIR,
also those of earlier sweeps and of `train --workdir=DIR/NAME`; `*` marks the highest validation accuracy. A sweep that
is started again resumes. A typed value replaces those in a --flagfile. The other flags are those of `train`;
--strategy=multi_worker is refused, as the runs need no connection.

--json prints one object at the end, instead of words: networks (the rows, as in sweep.csv), table and plot (paths).
"""

import csv
import dataclasses
import io
import itertools
import json
import pathlib

from absl import flags as absl_flags

from mlp_tf import UserError
from mlp_tf import config as settings
from mlp_tf.base import files
from mlp_tf.base.text import plural, shorten
from mlp_tf.cli import command, flags, quiet, signals
from mlp_tf.distribute.tf_config import Task
from mlp_tf.runs import table
from mlp_tf.runs.folder import lock_folder, read_config
from mlp_tf.runs.run import Stopped, open_run

_VARIED = table.COMPARED  # whatever distinguishes the rows of the table
_LEFT_OUT = ("seed", "workdir", "replicate_data")  # varied here, or only for several workers
_FLAGS = [field.name for field in dataclasses.fields(settings.Config) if field.name not in _LEFT_OUT]


def define_flags(values):
    """Defines the flags of this command: those of `train`; the ones it varies may be repeated."""
    flags.define(values, only=_FLAGS, repeatable=_VARIED)
    flags.define_recipe(values)
    text = "Number of seeds: 0 to N - 1."
    absl_flags.DEFINE_integer("seeds", 3, text, lower_bound=1, flag_values=values, module_name="training")
    absl_flags.DEFINE_string("workdir", None, "Folder of the runs, sweep.csv and sweep.png.", flag_values=values)
    absl_flags.DEFINE_boolean("json", False, "Print one JSON object instead of words.", flag_values=values)
    flags.define_plots(values)


def main(values):
    """Runs the sweep that the flags describe, or tabulates the existing runs; returns the exit code."""
    workdir = pathlib.Path(flags.required(values, "workdir"))
    if values["strategy"].value == "multi_worker":
        raise UserError(
            "--strategy=multi_worker: the runs of a sweep need no connection; start a sweep of some of the networks on "
            "each machine, each with its own --workdir"
        )
    if (workdir / "config.json").exists():
        raise UserError(f"--workdir={workdir}: is a single run; give its parent folder")
    wanted = grid(values)
    with signals.graceful_stop("to resume: the same command again") as stop, lock_folder(workdir) as lock:
        entries, texts = table.scan(workdir)
        command.warn(*texts)
        if not entries and not wanted:
            raise UserError(
                f"--workdir={workdir}: no run there; say what to train, such as --hidden=10 --hidden=256,256"
            )
        code = _sweep(wanted, entries, lock, stop, values["json"].value) if wanted else 0
        if code in (0, 1):
            lock.check()
            _report(list(entries.values()), workdir, values)
        return code


def grid(values):
    """Returns (name of its folder, settings) of each run; none without a flag of the network or its training."""
    if not any(values[name].present for name in (*_VARIED, "seeds")):
        return []
    names = [name for name in _VARIED if values[name].present]
    several = {name: flags.values_of(values, name) for name in names}
    varied = {name for name in names if len(several[name]) > 1}
    runs = []
    for combination in itertools.product(*several.values()):
        chosen = dict(zip(names, combination, strict=True))
        if "optimizer" in varied and chosen["optimizer"] != "momentum":
            chosen["momentum"] = settings.Config.momentum  # that of another optimizer
        config = flags.to_config(values, **chosen)
        if not config.hidden:  # there is nothing to activate or drop, so these would train one network several times
            config = dataclasses.replace(config, activation=settings.Config.activation, dropout=0.0)
        pairs = [(name, getattr(config, name)) for name in _VARIED if name in {"hidden", *varied}]
        folder = shorten("_".join(f"{name}={settings.words_of(value) or 'none'}" for name, value in pairs), 120)
        runs += [(folder, dataclasses.replace(config, seed=seed)) for seed in range(values["seeds"].value)]
    return list(dict.fromkeys(runs))


def _sweep(wanted, entries, lock, stop, as_json):
    """Trains the wanted runs that are not finished, and adds all to the entries; returns the exit code."""
    quiet.import_tensorflow()
    from mlp_tf.distribute.cluster import connect
    from mlp_tf.runs.identity import describe

    cluster = connect(wanted[0][1], Task(), stop.listen, command.warn)  # before anything is computed
    splits = _load(wanted[0][1], entries)
    command.warn(splits.warning, *splits.suspicions)
    command.note(*splits.notes)
    described = [(name, describe(config, splits, cluster)) for name, config in wanted]
    plan = _plan(described, entries, lock.path)
    if not as_json:
        done = sum(path in entries and entries[path].results is not None for path in plan)
        print(f"Sweep: {plural(len(plan), 'run')}" + (f", {done} already done" if done else ""), flush=True)
    failed = False
    with quiet.progress_bar(len(plan), 0, unit="runs") as bar:
        for path, description in plan.items():
            lock.check()
            try:
                _train(path, description.config, splits, stop, is_known=path in entries)
                entries[path] = table.read(path)
            except Stopped as stopped:
                return signals.report_stopped(stop, stopped.number)
            except (UserError, ArithmeticError, OSError) as error:
                failed = True
                entries[path] = table.Entry(path, description, note=f"failed: {' '.join(str(error).split())}")
            bar.update()
            lock.check()
            table.write_failures(lock.path, entries.values())
            _write_csv(table.rows(list(entries.values())), lock.path / "sweep.csv")
    return int(failed)


def _load(config, entries):
    """Loads the data of all runs: the same as those of the existing runs, even for `auto`."""
    from mlp_tf import data

    for entry in entries.values():
        in_run = entry.description.data
        if entry.description.is_of(config.dataset) and config.validation_size in (None, in_run.validation):
            name = data.located(in_run.name, config.data_dir)
            splits = data.load(name, config.data_dir, in_run.validation, config=config)
            return splits._replace(warning=entry.description.warning)  # why `auto` is not MNIST
    return data.load(config.dataset, config.data_dir, config.validation_size, config=config)


def _plan(wanted, entries, workdir):
    """Returns {folder: description} of the wanted runs: the folder of the existing run, or a new one."""
    by_state = sorted(entries.values(), key=lambda entry: bool(entry.results))  # a finished one takes precedence
    existing = {(entry.key, entry.seed): entry for entry in by_state}
    keys = {entry.path: entry.key for entry in by_state}
    plan = {}
    for name, description in wanted:
        entry = table.Entry(None, description)
        if (entry.key, entry.seed) in existing:
            path = existing[entry.key, entry.seed].path
        else:
            path = _new_folder(workdir, name, entry.key, keys) / f"seed-{entry.seed}"
        plan[path] = description
        keys[path] = entry.key
    return plan


def _new_folder(workdir, name, key, keys):
    """Returns a folder for the runs of a combination: named after it, with a number if others use that folder.

    Args:
      workdir: of the sweep.
      name: of the folder.
      key: `Entry.key` of the combination.
      keys: {path of a run: its key}.
    """
    for number in itertools.count(1):
        folder = workdir / (name if number == 1 else f"{name}-{number}")
        if folder not in keys and all(other == key for path, other in keys.items() if path.parent == folder):
            return folder


def _train(path, config, splits, stop, is_known):
    """Trains one run to its end, if it is not finished.

    Args:
      path: of its folder.
      config: the wanted settings.
      splits: `data.Splits`.
      stop: `signals.StopRequest`.
      is_known: whether the folder is known to hold this run; then the run's settings count.
    """
    with open_run((is_known and read_config(path)) or config, path, splits, stop) as run:
        command.warn(*run.warnings)
        stop.saves = run.splits is not None
        try:
            for _ in run.train():
                pass
        finally:
            stop.saves = False


def _write_csv(rows, path):
    text = io.StringIO()
    writer = csv.DictWriter(text, table.COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    files.write(path, text.getvalue())


def _report(entries, workdir, values):
    """Prints the table, draws it, and prints where both are."""
    rows = table.rows(entries)
    _write_csv(rows, workdir / "sweep.csv")
    done = [row for row in rows if row["seeds"]]
    plot = _draw(done, workdir / "sweep", flags.plot_options(values)) if done else None
    if values["json"].value:
        paths = {"table": str(workdir / "sweep.csv"), "plot": plot and str(plot)}
        print(json.dumps({"networks": rows, **paths}), flush=True)
        return
    print("\n".join(table.lines(rows)))
    print(f"Table: {workdir / 'sweep.csv'}" + (f"\nPlot: {plot}" if plot else ""), flush=True)


def _draw(rows, path, options):
    """Draws rows that have results; returns the path of the plot."""
    from mlp_tf import figures

    varied = {name: [table.cell(name, row[name]) for row in rows] for name in table.varied(rows)}
    counts = f"{plural(len(rows), 'network')}, {plural(sum(row['seeds'] for row in rows), 'run')}"
    title = f"Sweep {path.resolve().parent.name} over {', '.join(varied)}: {counts}"
    return figures.save(figures.plot_sweep(rows, varied, title), path, **options)


if __name__ == "__main__":
    command.end(command.run(main, __doc__, define_flags))

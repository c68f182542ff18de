"""Trains several networks over several seeds, and compares them in a table, a CSV file and a picture.

    python -m mlp_tf.sweep --hidden=10 --hidden=25 --hidden=256,256 --seeds=3 --workdir=DIR

Each run has a folder of its own under DIR; started again, the sweep goes on where it was. The other flags
are those of `train`; --strategy=multi_worker is refused, as the runs need no connection.

--json prints one object at the end, instead of words: networks (for each the columns of sweep.csv; of one that failed
the reason, as note), table and picture (their paths).
"""

import contextlib
import csv
import dataclasses
import functools
import io
import json
import pathlib
import statistics

from absl import flags as absl_flags

from mlp_tf import UserError
from mlp_tf import config as settings
from mlp_tf.cli import app, flags, quiet, signals
from mlp_tf.distribute.tf_config import Task
from mlp_tf.runs import compatible
from mlp_tf.runs.folder import NoFolder, open_run, read_run
from mlp_tf.runs.lock import lock_folder

_COLUMNS = [
    "hidden", "activation", "epochs", "parameters", "units", "seeds", "train_accuracy", "train_std",
    "test_accuracy", "test_std", "seconds", "note",
]  # fmt: skip


def define_flags(values):
    """Defines the flags of this command: those of `train`, but for what the sweep varies."""
    left_out = ("hidden", "seed", "workdir", "replicate_data")  # varied here, or for several workers alone
    names = [field.name for field in dataclasses.fields(settings.Config)]
    flags.define(values, only=[name for name in names if name not in left_out])
    absl_flags.DEFINE_multi_string("hidden", None, "Units of each hidden layer; repeat it.", flag_values=values)
    absl_flags.DEFINE_integer("seeds", 3, "How many seeds, 0 to N - 1.", lower_bound=1, flag_values=values)
    absl_flags.DEFINE_string("workdir", None, "Folder for the runs, sweep.csv and sweep.png.", flag_values=values)
    absl_flags.DEFINE_boolean("json", False, "Print one JSON object instead of words.", flag_values=values)


def main(values):
    """Runs the sweep that the flags describe; returns the exit code."""
    workdir = pathlib.Path(flags.required(values, "workdir"))
    if values["strategy"].value == "multi_worker":
        raise UserError(
            "--strategy=multi_worker: the runs of a sweep need no connection; start a sweep of some of the networks on "
            "each machine, each with its own --workdir"
        )
    if not values["hidden"].value:
        raise UserError("--hidden is missing; give it once for each network, such as --hidden=10 --hidden=256,256")
    networks = [settings.read("hidden", words) for words in dict.fromkeys(values["hidden"].value)]
    configs = {
        hidden: [_config_of(values, workdir, hidden, seed) for seed in range(values["seeds"].value)]
        for hidden in networks
    }
    with signals.graceful_stop("to go on: the same command again") as stop, lock_folder(workdir) as lock:
        quiet.import_tensorflow()
        return _sweep(configs, lock, stop, values["json"].value)


def _config_of(values, workdir, hidden, seed):
    folder = workdir / _name(hidden) / f"seed-{seed}"
    return flags.to_config(values, hidden=hidden, seed=seed, workdir=str(folder))


def _sweep(configs, lock, stop, as_json):
    from mlp_tf.distribute.cluster import connect
    from mlp_tf.runs import training

    first = configs[next(iter(configs))][0]
    cluster = connect(first, Task(), stop.listen, app.warn)
    splits = _load([config for of_network in configs.values() for config in of_network])
    app.warn(splits.warning, *splits.suspicions)
    app.note(*splits.notes)
    say = (lambda line: None) if as_json else functools.partial(print, flush=True)
    say(f"{'hidden':>16} activation epochs parameters  train accuracy    test accuracy     seconds")
    rows = []
    for hidden, of_network in configs.items():
        try:
            row = _summarize([_train(config, splits, cluster, stop, lock) for config in of_network])
        except training.Stopped as stopped:
            return signals.report_stopped(stop, stopped.number)
        except (UserError, ArithmeticError) as error:
            note = " ".join(str(error).split())
            row = {"hidden": _name(hidden), "activation": of_network[0].activation, "note": note}
        rows.append(row)
        say(_line(row))
        lock.check()
        _write_csv(rows, lock.path / "sweep.csv")
    lock.check()
    return _report(rows, lock.path, as_json)


def _load(configs):
    """The data of all runs, as those that were begun have them: also what `auto` stood for then."""
    from mlp_tf.runs import start

    begun = [config for config in configs if (pathlib.Path(config.workdir) / "config.json").exists()]
    return start.load(configs[0], read_run(begun[0].workdir) if begun else NoFolder())


def _train(config, splits, cluster, stop, lock):
    """Trains one run, or finds it finished: (description, results, accuracy on the training split)."""
    from mlp_tf.runs import result, start, training
    from mlp_tf.runs.describe import describe

    lock.check()
    with open_run(config.workdir) as folder:
        compatible.check_settings(config, folder)
        compatible.check_data(describe(config, splits, cluster).data, folder)
        if not folder.finished(config):
            run = start.start(config, folder, splits, cluster)
            app.warn(*run.warnings)
            stop.saves = True
            try:
                with contextlib.closing(training.train(run, stop.number)) as chunks:
                    for _ in chunks:
                        pass
            finally:
                stop.saves = False
        _, train_accuracy = result.evaluate(result.load(config.workdir), splits.train)
        return folder.description, folder.results, train_accuracy


def _summarize(runs):
    """The row of one network, from what `_train` returned for each seed."""
    description, results, _ = runs[0]
    hidden, seconds = description.config.hidden, [each.train_seconds for _, each, _ in runs]
    row = {"hidden": _name(hidden), "activation": description.config.activation, "epochs": results.epochs}
    row |= {"parameters": description.parameters, "units": sum(hidden), "seeds": len(runs)}
    train, test = [accuracy for *_, accuracy in runs], [each.test_accuracy for _, each, _ in runs]
    for split, accuracies in (("train", train), ("test", test)):
        row[f"{split}_accuracy"] = statistics.mean(accuracies)
        row[f"{split}_std"] = statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0
    return {**row, "seconds": statistics.mean(seconds)}


def _name(hidden):
    return "-".join(map(str, hidden))


def _line(row):
    start = f"{row['hidden']:>16} {row['activation']:>10}"
    if row.get("note"):
        return f"{start} failed: {row['note']}"
    spread = [f"{row[f'{split}_accuracy']:.4f} +- {row[f'{split}_std']:.4f}" for split in ("train", "test")]
    return f"{start} {row['epochs']:>6} {row['parameters']:>10,}  {spread[0]}  {spread[1]}  {row['seconds']:>7.1f}"


def _write_csv(rows, path):
    from mlp_tf.runs import files

    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    files.write(path, text.getvalue())


def _report(rows, workdir, as_json):
    """Says where the table and the picture are; returns the exit code."""
    from mlp_tf import figures

    done, table = [row for row in rows if not row.get("note")], workdir / "sweep.csv"
    picture = figures.save(figures.sweep(done), workdir / "sweep.png") if done else None
    if as_json:
        print(json.dumps({"networks": rows, "table": str(table), "picture": picture and str(picture)}), flush=True)
    else:
        print(f"Table: {table}" + (f"\nPicture: {picture}" if picture else ""), flush=True)
    return 0 if len(done) == len(rows) else 1


if __name__ == "__main__":
    app.end(app.run(main, __doc__, define_flags))

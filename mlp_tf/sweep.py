"""Trains several networks over several seeds, and compares them in a table, a CSV file and a picture.

    python -m mlp_tf.sweep --hidden=10 --hidden=25 --hidden=256,256 --seeds=3 --workdir=DIR

Each run has a folder of its own under DIR; started again, the sweep goes on where it was. The other flags
are those of `train`.
"""

import contextlib
import csv
import dataclasses
import io
import math
import pathlib
import statistics
import sys

from absl import flags

from mlp_tf import UserError, checkpoint, config, door, workers

_COLUMNS = [
    "hidden", "activation", "epochs", "parameters", "units", "seeds", "train_accuracy", "train_std",
    "test_accuracy", "test_std", "seconds", "note",
]  # fmt: skip


def define_flags(values):
    """Defines the flags of this command: those of `train`, but for what the sweep varies."""
    varied = ("hidden", "seed", "workdir")
    config.define_flags(values, only=[f.name for f in dataclasses.fields(config.Config) if f.name not in varied])
    flags.DEFINE_multi_string("hidden", None, "Units of each hidden layer; repeat it.", flag_values=values)
    flags.DEFINE_integer("seeds", 3, "How many seeds, 0 to N - 1.", lower_bound=1, flag_values=values)
    flags.DEFINE_string("workdir", None, "Folder for the runs, sweep.csv and sweep.png.", flag_values=values)


def main(values):
    """Runs the sweep that the flags describe; returns the exit code."""
    workdir = pathlib.Path(door.required(values, "workdir"))
    if not values["hidden"].value:
        raise UserError("--hidden is missing; give it once for each network, such as --hidden=10 --hidden=256,256")
    networks = [config.read_setting("hidden", words) for words in dict.fromkeys(values["hidden"].value)]
    seeds = range(values["seeds"].value)
    settings = {
        hidden: [
            config.from_flags(values, hidden=hidden, seed=seed, workdir=str(workdir / _name(hidden) / f"seed-{seed}"))
            for seed in seeds
        ]
        for hidden in networks
    }
    first = settings[networks[0]][0]
    seat = workers.seat(first)
    own = checkpoint.held(workdir) if seat.chief else contextlib.nullcontext()
    with door.stopping("to go on: the same command again") as stop, own:
        door.import_tensorflow()
        from mlp_tf import cluster

        together = cluster.connect(first, seat, stop.listen, door.warn)
        with together.watched():
            return _sweep(settings, workdir, together, stop)


def _sweep(settings, workdir, together, stop):
    from mlp_tf import figures, files, run

    [[first, *_], *_] = settings.values()
    splits = run.load(first, _dataset(first), together)
    door.warn(splits.warning)
    networks = {"hidden": [_name(hidden) for hidden in settings], "seeds": len(next(iter(settings.values())))}
    run.check_agreed({**first.to_json(), **networks, "sha256": splits.sha256}, together)
    say = print if together.seat.chief else lambda *words, **options: None
    say(f"{'hidden':>16} activation epochs parameters  train accuracy    test accuracy     seconds", flush=True)
    rows = []
    for hidden, seeds in settings.items():
        try:
            row = _measure(hidden, [_train(each, splits, together, stop) for each in seeds])
        except run.Stopped as stopped:
            return door.stopped(stop, stopped.number)
        except (UserError, ArithmeticError) as error:
            if isinstance(error, UserError) and not together.seat.alone:
                raise  # it may be one worker's alone, and the others would wait for it
            row = {"hidden": _name(hidden), "activation": seeds[0].activation, "note": " ".join(str(error).split())}
        rows.append(row)
        say(_line(row), flush=True)
        if together.seat.chief:
            files.write(workdir / "sweep.csv", _csv(rows))
    done = [row for row in rows if not row.get("note")]
    say(f"Table: {workdir / 'sweep.csv'}")
    if done and together.seat.chief:
        say(f"Picture: {figures.save(figures.sweep(done), workdir / 'sweep.png')}", flush=True)
    return 0 if len(done) == len(rows) else 1


def _dataset(first):
    """What to load: what `auto` stood for when the sweep began stays."""
    if (pathlib.Path(first.workdir) / "config.json").exists():
        return checkpoint.existing(first.workdir).dataset(first)
    return first.dataset


def _train(settings, splits, together, stop):
    """Trains one run, or finds it finished: its results, with the accuracy on the training split."""
    from mlp_tf import loop, run

    with checkpoint.locked(settings.workdir, together.seat.chief) as directory:
        if directory:
            directory.check_settings(settings)
        if not together.told(directory and directory.finished(settings)):
            a_run = run.start(settings, directory, splits, together)
            door.warn(*a_run.warnings)
            stop.saves = True
            try:
                with contextlib.closing(run.train(a_run, stop.asked)) as chunks:
                    for _ in chunks:
                        pass
            finally:
                stop.saves = False
        accuracy = loop.evaluate(*_result(settings, splits, together), settings, splits.train, cluster=together)[1]
        results = together.told(directory and {**directory.results, **directory.config["model"]})
        return {**results, "train_accuracy": accuracy, "settings": settings}


def _result(settings, splits, together):
    """(weights, biases) of a finished run: the chief reads them, and tells the other workers."""
    import tensorflow as tf

    from mlp_tf import model, trained

    if together.seat.chief:
        result = trained.load(settings.workdir)
        parameters = (result.weights, result.biases)
    else:  # of the same shapes
        parameters = model.init_params((math.prod(splits.image_shape), *settings.hidden, splits.classes))
    return tf.nest.pack_sequence_as(parameters, together.chiefs(tf.nest.flatten(parameters)))


def _measure(hidden, results):
    first = results[0]
    row = {"hidden": _name(hidden), "activation": first["settings"].activation, "epochs": first["epochs"]}
    row |= {"parameters": first["parameters"], "units": sum(hidden), "seeds": len(results)}
    for split in ("train", "test"):
        accuracies = [result[f"{split}_accuracy"] for result in results]
        row[f"{split}_accuracy"] = statistics.mean(accuracies)
        row[f"{split}_std"] = statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0
    row["seconds"] = statistics.mean(result["train_seconds"] for result in results)
    return row


def _name(hidden):
    return "-".join(map(str, hidden))


def _line(row):
    start = f"{row['hidden']:>16} {row['activation']:>10}"
    if row.get("note"):
        return f"{start} failed: {row['note']}"
    spread = [f"{row[f'{split}_accuracy']:.4f} +- {row[f'{split}_std']:.4f}" for split in ("train", "test")]
    return f"{start} {row['epochs']:>6} {row['parameters']:>10,}  {spread[0]}  {spread[1]}  {row['seconds']:>7.1f}"


def _csv(rows):
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


if __name__ == "__main__":
    sys.exit(door.enter(main, __doc__, define_flags))

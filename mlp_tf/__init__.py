"""A perceptron below Keras: explicit weights and biases, a hand-written batch loop, exact resume.

An import goes only to a lower rank, so each file can be read knowing just those below it:

    0  model.py        the network as pure functions of (x, weights, biases)
    0  config.py       the settings of a run: dataclass, flags, JSON, ranges
    0  workers.py      which of several worker processes this is, and their meeting
    0  sources.py      where images come from: mnist_sample, .npz, tensorflow-datasets
    0  warp.py         images moved on their grid: set upright, or each by a map of its own
    0  pictures.py     a user's picture file, prepared as MNIST was
    0  files.py        files that survive a crash
    0  figures.py      arrays to pictures
    0  door.py         what every command does: flags in, one line for a mistake, exit code out
    1  data.py         checked images and labels, the order of an epoch, distortion
    1  checkpoint.py   a run's folder: config.json, metrics.jsonl, verified checkpoints, lock
    1  cluster.py      who trains together: devices, workers, what they tell each other
    2  loop.py         the compiled batch loop: build_train_steps, fit, evaluate
    2  events.py       event files for TensorBoard
    3  run.py          a run's life: start or resume, train, save, stop, write the results
    3  trained.py      a run read back: its settings, parameters, data and predictions
    4  train.py, sweep.py                   commands that train
    4  evaluate.py, predict.py, export.py   commands that start from a trained run
    4  plot.py, show_data.py                commands that draw

Importing this package imports nothing else; only the modules that compute import TensorFlow.
"""

__version__ = "0.2.0"


class UserError(ValueError):
    """A mistake whose reader can mend it: says the value seen, the values allowed, and what to do."""

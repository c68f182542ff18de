"""A perceptron below Keras: explicit weights and biases, a hand-written batch loop, exact resume.

An import goes only to a lower rank, so each file can be read knowing just those below it:

    0  model.py       the network as pure functions of (x, weights, biases)
    0  data.py        images and labels, the order of an epoch, distortion
    0  config.py      the settings of a run: dataclass, flags, JSON, ranges
    0  door.py        what every command does: flags in, one line for a mistake, exit code out
    1  loop.py        the compiled batch loop: build_train_steps, fit, evaluate
    1  checkpoint.py  a run's folder: config.json, metrics.jsonl, verified checkpoints, lock
    2  run.py         a run's life: start or resume, train, save, stop, write the results
    3  train.py       the command `python -m mlp_tf.train`

Importing this package imports nothing else; only the modules that compute import TensorFlow.
"""

__version__ = "0.1.0"


class UserError(ValueError):
    """A mistake whose reader can mend it: says the value seen, the values allowed, and what to do."""

"""Compiled loops with the variables they train, which later runs in this process use again.

Compiling takes about a second; assigning new values to the variables takes a few milliseconds. The second run of a
program has the same bits as one in a fresh process.
"""

import contextlib
import threading
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from mlp_tf import loop
from mlp_tf.model import init_params

_KEPT_BYTES = 2**27  # of all programs that are kept
_CODE_BYTES = 2**25  # assumed for the code of each; 35 MB in a sweep of 15 networks
# The settings that a compiled loop depends on; those of the data are in the shapes of an epoch.
_SETTINGS = (
    "hidden", "batch_size", "learning_rate", "optimizer", "momentum", "activation", "schedule", "label_smoothing",
    "dropout", "input_dropout", "weight_decay", "max_norm", "scaling",
)  # fmt: skip
_kept = []  # (key, `Program`) of those that no run uses now, the last used at the end
_lock = threading.Lock()  # of `_kept`


class Program(NamedTuple):
    """A compiled loop and its variables."""

    state: loop.State
    best: dict  # weights and biases of the best epoch, as variables: {"weights": {...}, "biases": {...}}
    train_steps: Callable
    predict: Callable  # from `loop.predictor`, of the state
    predict_best: Callable
    initial: list  # (variable of the optimizer, the value of all its elements at the start)

    def keep_best(self):
        """Copies the parameters of the state, the best so far, to `best`."""
        _assign(self.best, _parameters(self.state))


@contextlib.contextmanager
def open_program(config, sizes, feed):
    """Yields a `Program` at its start; the next run with these settings and shapes may use it afterwards.

    Args:
      config: the settings.
      sizes: units of each layer, input and output included.
      feed: `data.Feed`.
    """
    total_steps = config.epochs * feed.steps
    # Under a strategy, `optimizer.variables()` is empty, so a program cannot be started again.
    reusable = feed.strategy is tf.distribute.get_strategy()
    key = _key(config, sizes, feed, total_steps)
    program = _take(key) if reusable else None
    if program is None:
        program = _compile(config, sizes, feed, total_steps)
    else:
        program = program._replace(state=program.state._replace(total_steps=total_steps))
        _restart(program, config, sizes)
    yield program
    if reusable:  # after an error it is dropped
        with _lock:
            _kept.append((key, program))
            while sum(_size(each) for _, each in _kept) > _KEPT_BYTES:
                del _kept[0]


def _take(key):
    """Returns the kept program of this key, which is no longer kept, or None."""
    with _lock:
        for i, (other, program) in enumerate(_kept):
            if other == key:
                del _kept[i]
                return program
    return None


def _key(config, sizes, feed, total_steps):
    """Returns everything that the compiled code depends on."""
    settings = [getattr(config, name) for name in _SETTINGS]
    scaling = feed.scale.keywords["scaling"]
    constants = scaling and (scaling.mean.tobytes(), scaling.std.tobytes())
    specs = tuple(map(tf.type_spec_from_value, feed.empty_epoch()))
    return (*settings, sizes, specs, constants, total_steps if config.schedule != "constant" else None)


def _compile(config, sizes, feed, total_steps):
    with feed.strategy.scope():
        state = loop.new_state(config, sizes, total_steps)
    best = copy_parameters(state)
    train_steps = loop.compile_steps(state, config, feed)
    initial = [(variable, tf.reshape(variable, [-1])[0]) for variable in state.optimizer.variables()]
    predict = loop.predictor(config, state.weights, state.biases)
    return Program(state, best, train_steps, predict, loop.predictor(config, **best), initial)


def copy_parameters(state):
    """Returns a copy of a state's weights and biases, as variables: {"weights": {...}, "biases": {...}}."""
    return {
        kind: {name: tf.Variable(value) for name, value in group.items()} for kind, group in _parameters(state).items()
    }


def _parameters(state):
    return {"weights": state.weights, "biases": state.biases}


def _assign(target, groups):
    for kind, values in groups.items():
        for name, value in values.items():
            target[kind][name].assign(value)


def _restart(program, config, sizes):
    """Assigns the variables their values at the start of a run."""
    groups = dict(zip(("weights", "biases"), init_params(sizes, config.seed, config.init), strict=True))
    _assign(_parameters(program.state), groups)
    program.keep_best()
    for variable, value in program.initial:
        variable.assign(tf.fill(variable.shape, value))
    program.state.step.assign(0)
    program.state.seed.assign(config.seed)


def _size(program):
    variables = [*program.state.variables(), *program.state.optimizer.variables(), *program.best["weights"].values()]
    return _CODE_BYTES + sum(4 * variable.shape.num_elements() for variable in variables)

"""One epoch of training by mlp_tf and by each of its peers, and the process that each of them lives in.

Each peer has a process of its own, so that none loads another's thread pools. The parent lets them train one epoch in
turn, round after round. All train the same network by Adam at rate 0.001 on the same random images, kept in memory; but
"matmuls only" just multiplies the matrices of the forward and the backward pass, by NumPy's BLAS: a lower bound for any
training on this processor (see blas.py).
"""

import contextlib
import importlib.util
import itertools
import shlex
import subprocess
import sys
import time

from common import EXAMPLES, arrays, environment

from mlp_tf.config import Config, read, words_of

OURS, KERAS, MATMULS = "mlp_tf", "keras (default settings)", "matmuls only (lower bound)"


def mlp_tf_epoch(hidden, batch, activation="relu"):
    """mlp_tf: its compiled loop."""
    from mlp_tf.cli import quiet

    quiet.import_tensorflow()
    from mlp_tf import data, loop

    config = Config(hidden=hidden, batch_size=batch, activation=activation, epochs=1_000_000, validation_size=0)
    feed = data.Feed(data.Split(*arrays()), config)
    state = loop.new_state(config, (784, *hidden, 10), feed.steps)
    train_steps = loop.compile_steps(state, config, feed)
    chunks = loop.fit(train_steps, state, config, feed, loop.Progress(0, 0, feed.steps))

    def epoch():
        for progress in chunks:
            if progress.step == progress.steps:
                return

    return epoch


def keras_model(hidden, activation="relu", **options):
    """The network in Keras; the options go to `compile`."""
    import keras

    layers = [keras.layers.Dense(units, activation=activation) for units in hidden]
    model = keras.Sequential([keras.Input((784,)), *layers, keras.layers.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.001), loss, **options)
    return model


def keras_epoch(hidden, batch, activation, **options):
    """Keras: `fit` on arrays of floats."""
    images, labels = arrays()
    x = images.reshape(-1, 784).astype("float32") / 255
    model = keras_model(hidden, activation, **options)
    return lambda: model.fit(x, labels, batch_size=batch, epochs=1, verbose=0)


def keras_tuned_epoch(hidden, batch, activation):
    """Keras, compiled by XLA and with 50 steps a call."""
    return keras_epoch(hidden, batch, activation, jit_compile=True, steps_per_execution=50)


def matmuls_epoch(hidden, batch, activation):
    """The matrix products of the forward and the backward pass, and nothing else, thus no activation."""
    import numpy as np

    sizes, rng = (784, *hidden, 10), np.random.default_rng(0)
    weights = [rng.standard_normal(shape, np.float32) for shape in itertools.pairwise(sizes)]
    layers = [rng.standard_normal((batch, size), np.float32) for size in sizes]

    def epoch():
        for _ in range(EXAMPLES // batch):
            for i, weight in enumerate(weights):
                layers[i] @ weight  # forward
                layers[i].T @ layers[i + 1]  # gradient of the weight
                if i:
                    layers[i + 1] @ weight.T  # gradient of the layer; the first needs none

    return epoch


def jax_epoch(hidden, batch, activation):
    """JAX: `lax.scan` over the steps, and Adam by hand."""
    from jax_peer import make_epoch

    return make_epoch(hidden, batch, activation)


def torch_epoch(hidden, batch, activation):
    """PyTorch: an eager loop over the steps."""
    import torch

    images, labels = arrays()
    x, y = torch.from_numpy(images.reshape(-1, 784)).float() / 255, torch.from_numpy(labels).long()
    sizes, activate = (784, *hidden), {"relu": torch.nn.ReLU, "sigmoid": torch.nn.Sigmoid}[activation]
    layers = [m for a, b in itertools.pairwise(sizes) for m in (torch.nn.Linear(a, b), activate())]
    model = torch.nn.Sequential(*layers, torch.nn.Linear(sizes[-1], 10))
    optimizer = torch.optim.Adam(model.parameters(), 0.001)

    def epoch():
        for rows in torch.randperm(EXAMPLES)[: EXAMPLES // batch * batch].reshape(-1, batch):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()

    return epoch


PEERS = {
    OURS: mlp_tf_epoch,
    KERAS: keras_epoch,
    "keras (tuned)": keras_tuned_epoch,
    MATMULS: matmuls_epoch,
    "jax": jax_epoch,
    "torch": torch_epoch,
}


def installed():
    """The peers that can run here: all, or without JAX and PyTorch where they are not installed."""
    return [peer for peer in PEERS if peer not in ("jax", "torch") or importlib.util.find_spec(peer)]


def time_epochs(hidden, batch, rounds, peers, activation="relu"):
    """{peer: seconds of each epoch}, the peers taking turns, after two epochs of warm-up."""
    with contextlib.ExitStack() as stack:
        processes = {peer: stack.enter_context(_start(peer, hidden, batch, activation)) for peer in peers}
        for peer, process in processes.items():
            if process.stdout.readline() != "ready\n":
                raise RuntimeError(f"{peer} did not start; see why: {shlex.join(process.args)}")
        seconds = {peer: [] for peer in peers}
        for _ in range(rounds + 1):
            for peer, process in processes.items():
                process.stdin.write("epoch\n")
                process.stdin.flush()
                seconds[peer].append(float(process.stdout.readline()))
    return {peer: values[1:] for peer, values in seconds.items()}


def _start(peer, hidden, batch, activation):
    words = [sys.executable, __file__, peer, words_of(hidden), str(batch), activation]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    return subprocess.Popen(words, env=environment(), **pipes)


def serve(peer, hidden, batch, activation):
    """A peer's process: trains an epoch for each line on stdin, and prints its seconds."""
    epoch = PEERS[peer](hidden, batch, activation)
    epoch()  # compiles and warms up
    print("ready", flush=True)
    for _ in sys.stdin:
        begin = time.perf_counter()
        epoch()
        print(time.perf_counter() - begin, flush=True)


if __name__ == "__main__":
    serve(sys.argv[1], read("hidden", sys.argv[2]), int(sys.argv[3]), sys.argv[4])

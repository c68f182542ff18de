"""Measures seconds an epoch and seconds a command against the peers: a script, never a test.

    python tests/benchmark.py                    # everything; JAX and PyTorch where they are installed
    python tests/benchmark.py --rounds=7 --only=epochs

Each peer lives in a process of its own, so that none loads another's thread pools; the parent lets them
train one epoch in turn, round after round, and takes the median after a warm-up. Prints a table, and the
same as JSON to --json.
"""

import argparse
import contextlib
import functools
import importlib.util
import itertools
import json
import os
import pathlib
import platform
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time

SETTINGS = [((256, 256), 100), ((16, 16), 32), ((512,), 64), ((800, 800), 32)]
PEERS = ["mlp_tf", "keras", "keras tuned", "blas", "jax", "torch"]
EXAMPLES = 60_000
PARTS = ["epochs", "commands", "accuracy", "ablation", "workers", "growth", "distort", "long", "saves"]
RECIPES = pathlib.Path(__file__).resolve().parent.parent / "mlp_tf/recipes"


def arrays():
    """Random pixels and labels: the arithmetic of an epoch does not depend on what is in the picture."""
    import numpy as np

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (EXAMPLES, 28, 28)).astype(np.uint8)
    return images, rng.integers(0, 10, EXAMPLES).astype(np.int32)


def mlp_tf_epoch(hidden, batch):
    from mlp_tf import door

    door.import_tensorflow()
    from mlp_tf import loop
    from mlp_tf.config import Config
    from mlp_tf.data import Split

    split, steps = Split(*arrays()), EXAMPLES // batch
    config = Config(hidden=hidden, batch_size=batch, epochs=1_000_000, validation_size=0)
    state = loop.new_state(config, (784, *hidden, 10), steps)
    train_steps = loop.build_train_steps(state, config, split)
    chunks = loop.fit(state, config, split, loop.Progress(0, 0, steps), train_steps)

    def epoch():
        for progress in chunks:
            if progress.step == steps:
                return

    return epoch


def keras_model(hidden, **options):
    import keras

    layers = [keras.layers.Dense(units, activation="relu") for units in hidden]
    model = keras.Sequential([keras.Input((784,)), *layers, keras.layers.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.001), loss, **options)
    return model


def keras_epoch(hidden, batch, **options):
    images, labels = arrays()
    x = images.reshape(-1, 784).astype("float32") / 255
    model = keras_model(hidden, **options)
    return lambda: model.fit(x, labels, batch_size=batch, epochs=1, verbose=0)


def keras_tuned_epoch(hidden, batch):
    return keras_epoch(hidden, batch, jit_compile=True, steps_per_execution=50)


def blas_epoch(hidden, batch):
    """The matrix products of forward and backward pass alone, by NumPy's BLAS: what no training can be without."""
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


def jax_epoch(hidden, batch):
    import jax
    import jax.numpy as jnp
    import numpy as np

    data = tuple(map(jnp.asarray, arrays()))
    rng, sizes = np.random.default_rng(0), (784, *hidden, 10)
    params = [
        (jnp.asarray(rng.standard_normal((a, b), np.float32) * a**-0.5), jnp.zeros(b))
        for a, b in itertools.pairwise(sizes)
    ]

    def loss(params, x, y):
        for w, b in params[:-1]:
            x = jax.nn.relu(x @ w + b)
        w, b = params[-1]
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(x @ w + b), y[:, None], 1))

    def step(images, labels, state, rows):
        params, m, v, t = state
        x = images[rows].reshape(batch, 784).astype(jnp.float32) / 255
        cost, g = jax.value_and_grad(loss)(params, x, labels[rows])
        t = t + 1
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
        rate = 0.001 * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        params = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + 1e-8), params, m, v)
        return (params, m, v, t), cost

    scan = jax.jit(lambda images, labels, *rest: jax.lax.scan(functools.partial(step, images, labels), *rest))
    zeros = jax.tree.map(jnp.zeros_like, params)
    held = [(params, zeros, zeros, jnp.float32(0))]

    def epoch():
        order = rng.permutation(EXAMPLES)[: EXAMPLES // batch * batch].reshape(-1, batch).astype(np.int32)
        held[0], costs = scan(*data, held[0], order)
        costs.block_until_ready()

    return epoch


def torch_epoch(hidden, batch):
    import torch

    images, labels = arrays()
    x, y = torch.from_numpy(images.reshape(-1, 784)).float() / 255, torch.from_numpy(labels).long()
    sizes = (784, *hidden)
    layers = [m for a, b in itertools.pairwise(sizes) for m in (torch.nn.Linear(a, b), torch.nn.ReLU())]
    model = torch.nn.Sequential(*layers, torch.nn.Linear(sizes[-1], 10))
    optimizer = torch.optim.Adam(model.parameters(), 0.001)

    def epoch():
        for rows in torch.randperm(EXAMPLES)[: EXAMPLES // batch * batch].reshape(-1, batch):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()

    return epoch


EPOCHS = {
    "mlp_tf": mlp_tf_epoch,
    "keras": keras_epoch,
    "keras tuned": keras_tuned_epoch,
    "blas": blas_epoch,
    "jax": jax_epoch,
    "torch": torch_epoch,
}


def serve(peer, hidden, batch):
    """A peer's process: an epoch for each line on stdin, its seconds on stdout."""
    epoch = EPOCHS[peer](hidden, batch)
    epoch()  # compiles and warms up
    print("ready", flush=True)
    for _ in sys.stdin:
        begin = time.perf_counter()
        epoch()
        print(time.perf_counter() - begin, flush=True)


def measure_epochs(hidden, batch, rounds, peers=PEERS):
    """{peer: seconds of each epoch}, the peers taking turns."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    processes = {}
    for peer in peers:
        if peer not in ("jax", "torch") or importlib.util.find_spec(peer):
            words = [sys.executable, __file__, "--serve", peer, ",".join(map(str, hidden)), str(batch)]
            processes[peer] = subprocess.Popen(words, env=environment, **pipes)
            assert processes[peer].stdout.readline() == "ready\n", f"{peer} did not start"
    seconds = {peer: [] for peer in processes}
    for _ in range(rounds + 1):
        for peer, process in processes.items():
            process.stdin.write("epoch\n")
            process.stdin.flush()
            seconds[peer].append(float(process.stdout.readline()))
    for process in processes.values():
        process.communicate()
    return {peer: values[1:] for peer, values in seconds.items()}  # one more round of warm-up


KERAS_SCRIPT = """
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow_datasets as tfds
import keras
sets = tfds.as_numpy(tfds.load("mnist", split=["train[:55000]", "train[55000:]", "test"], batch_size=-1))
(x, y), (xv, yv), (xt, yt) = [(s["image"].reshape(-1, 784).astype("float32") / 255, s["label"]) for s in sets]
dense = lambda units: keras.layers.Dense(units, activation="relu")
model = keras.Sequential([keras.Input((784,)), dense(256), dense(256), keras.layers.Dense(10)])
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.Adam(0.001), loss, metrics=["accuracy"])
model.fit(x, y, batch_size=100, epochs=15, validation_data=(xv, yv), verbose=2)
print("Accuracy:", model.evaluate(xt, yt, verbose=0)[1])
"""


def measure_commands(rounds):
    """Whole commands in turn, start to exit, 15 epochs: {name: [(seconds, peak MB, seconds until training begins)]}."""
    results = {"mlp_tf": [], "keras": []}
    with tempfile.TemporaryDirectory() as folder:
        for i in range(rounds):
            ours = [sys.executable, "-m", "mlp_tf.train", "--hidden=256,256", "--epochs=15", "--dataset=mnist"]
            for name, words in (
                ("mlp_tf", [*ours, f"--workdir={folder}/{i}"]),
                ("keras", [sys.executable, "-c", KERAS_SCRIPT]),
            ):
                results[name].append(measure_command(words))
    return results


def measure_command(words):
    """(seconds, peak MB, seconds until it says that training begins) of a command."""
    begin = time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    ready = next((time.perf_counter() - begin for line in process.stdout if line.startswith("Model: ")), None)
    process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, words
    return time.perf_counter() - begin, usage.ru_maxrss // 1024, ready


def measure_long(epochs=200):
    """Seconds an epoch and resident MB of one run over many epochs: does anything slow down or leak?"""
    epoch = mlp_tf_epoch((256, 256), 100)
    epoch()
    seconds, resident = [], []
    for _ in range(epochs):
        begin = time.perf_counter()
        epoch()
        seconds.append(time.perf_counter() - begin)
        resident.append(int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path("/proc/self/status").read_text())[1]) / 1024)
    parts = [slice(0, 20), slice(epochs - 20, epochs)]
    return {
        "epochs": epochs,
        "seconds_first_and_last_20": [statistics.median(seconds[part]) for part in parts],
        "resident_mb_epoch_20_and_last": [resident[19], resident[-1]],
    }


WIDTHS, BATCH_SIZES, IMAGES = (
    (64, 128, 256, 512, 1024, 2048),
    (16, 64, 100, 256, 1024, 4096),
    (60_000, 600_000, 6_000_000),
)


def measure_growth(rounds):
    """Seconds an epoch over hidden width, batch and images, with those of the matrix products alone; and memory."""
    report = {"width": {}, "batch": {}, "images": {}}
    for width in WIDTHS:
        report["width"][width] = measure_point((width, width), 100, rounds)
    for batch in BATCH_SIZES:
        report["batch"][batch] = measure_point((256, 256), batch, rounds)
    products = report["batch"][100]["products"]["median"] / EXAMPLES
    for images in IMAGES:
        seconds, peak = train_on(images)
        report["images"][images] = {"mlp_tf": spread(seconds), "products": {"median": products * images}, "peak": peak}
    (few, first), *_, (many, last) = ((images, figures["peak"]) for images, figures in report["images"].items())
    report["bytes_an_image"] = (last - first) / (many - few)
    return report


def measure_point(hidden, batch, rounds):
    measured = measure_epochs(hidden, batch, rounds, ("mlp_tf", "blas"))
    return {"mlp_tf": spread(measured["mlp_tf"]), "products": spread(measured["blas"])}


def train_on(images):
    """(seconds of each epoch, peak bytes) of the command at 256,256, batch 100, on so many images."""
    import numpy as np

    pixels, labels = arrays()
    repeated = {"x_train": np.tile(pixels, (images // EXAMPLES, 1, 1)), "y_train": np.tile(labels, images // EXAMPLES)}
    with tempfile.TemporaryDirectory() as folder:
        np.savez(f"{folder}/images.npz", **repeated, x_test=pixels[:1000], y_test=labels[:1000])
        del repeated
        words = [sys.executable, "-m", "mlp_tf.train", f"--dataset={folder}/images.npz", "--validation_size=0"]
        _, peak, _ = measure_command([*words, "--epochs=2", f"--workdir={folder}/run"])
        rows = [json.loads(line) for line in pathlib.Path(folder, "run/metrics.jsonl").read_text().splitlines()]
    return [row["seconds"] for row in rows], peak * 2**20


def print_growth(report):
    for what in ("width", "batch", "images"):
        print(f"\n| {what} | seconds an epoch: median (min - max) | matrix products alone | their share |")
        print("|---|---|---|---|")
        for value, figures in report[what].items():
            s, products = figures["mlp_tf"], figures["products"]["median"]
            times = f"{s['median']:.3f} ({s['min']:.3f} - {s['max']:.3f})"
            print(f"| {value:,} | {times} | {products:.3f} | {products / s['median']:.2f} |", flush=True)
    peaks = ", ".join(f"{figures['peak'] / 1e6:,.0f} MB at {n:,}" for n, figures in report["images"].items())
    print(f"peak memory: {peaks}; {report['bytes_an_image']:.0f} bytes an image, whose pixels are 784")


def draw_growth(report, path):
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), sharey=True, constrained_layout=True)
    labels = {"width": "units of each hidden layer", "batch": "images in a batch", "images": "images in an epoch"}
    for axis, (what, label) in zip(axes, labels.items(), strict=True):
        values = list(report[what])
        images = {"width": lambda v: EXAMPLES, "batch": lambda v: EXAMPLES // v * v, "images": lambda v: v}[what]
        scale = [1e6 / images(value) for value in values]
        for key, name in (("mlp_tf", "mlp_tf"), ("products", "its matrix products alone")):
            seconds = [report[what][value][key]["median"] * s for value, s in zip(values, scale, strict=True)]
            axis.plot(values, seconds, marker="o", label=name, linestyle="-" if key == "mlp_tf" else "--")
        axis.set(xscale="log", yscale="log", xlabel=label)
        axis.set_xticks(values, [f"{value:,}" for value in values], fontsize=8)
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("microseconds an image")
    axes[0].legend()
    figure.suptitle("784-256-256-10, batch 100, 60,000 images, but for what varies; 2 cores")
    figure.savefig(path, dpi=100)


def measure_saves():
    """Seconds of each save of a run at the default setting, and their share of its training time."""
    from mlp_tf import door

    door.import_tensorflow()
    from mlp_tf import checkpoint, data, run
    from mlp_tf.config import Config

    saves, real = [], run.save

    def timed(a_run):
        begin = time.perf_counter()
        real(a_run)
        saves.append(time.perf_counter() - begin)

    run.save = timed
    with tempfile.TemporaryDirectory() as folder, checkpoint.locked(folder) as directory:
        for _ in run.train(run.start(Config(epochs=15), directory, data.load("mnist")), lambda: False):
            pass
        trained = directory.results["train_seconds"]
    return {"seconds_of_saves": saves, "share_of_training": sum(saves) / trained}


NETWORKS = [((256, 256), 100), ((256, 256), 1000), ((1024, 1024), 1000)]


BATCHES = (1_000, 10_000, 100_000)  # of the model on paper


def measure_workers(rounds):
    """Images a second by one process and by two replicas, in turn, and the share of a step that is all-reduce."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    ways = {
        "1 process, 1 core": ([], [cores[:1]]),
        "1 process, 2 cores": ([], [cores]),
        "2 logical devices, 2 cores": (["--strategy=mirrored", "--logical_cpus=2"], [cores]),
        "2 processes, 1 core each": (["--strategy=multi_worker"], [cores[:1], cores[1:]]),
    }
    report = {}
    for hidden, batch in NETWORKS:
        speeds, reduces = {way: [] for way in ways}, []
        for _ in range(rounds):
            for way, (flags, owned) in ways.items():
                speeds[way] += train_together([*flags, f"--hidden={','.join(map(str, hidden))}"], batch, owned)
            reduces += reduce_together(hidden, [cores[:1], cores[1:]])
        reduce, step = spread(reduces), batch / statistics.median(speeds["2 processes, 1 core each"])
        report[f"784-{'-'.join(map(str, hidden))}-10, batch {batch}"] = {
            "images_per_second": {way: spread(values) for way, values in speeds.items()},
            "seconds_of_an_all_reduce": reduce,
            "share_of_a_step": reduce["median"] / step,
        }
    return report


def environments(owned):
    """For each worker, what TF_CONFIG says, or nothing for one alone; and its cores."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in owned]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for index, cores in enumerate(owned):
        tf_config = json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})
        yield {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "TF_CONFIG": tf_config if len(owned) > 1 else "{}"}, cores


def train_together(flags, batch, owned, epochs=4):
    """Images a second in each epoch after the first, of a command run in a process for each set of cores."""
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "mlp_tf.train", "--dataset=mnist", f"--epochs={epochs}", f"--batch_size={batch}"]
        words += ["--learning_rate=0.0001", f"--workdir={folder}/run", *flags]
        processes = [
            subprocess.Popen(
                words, env=environment, stdout=subprocess.DEVNULL, preexec_fn=lambda c=cores: os.sched_setaffinity(0, c)
            )
            for environment, cores in environments(owned)
        ]
        assert [process.wait() for process in processes] == [0] * len(owned), words
        rows = [json.loads(line) for line in pathlib.Path(folder, "run/metrics.jsonl").read_text().splitlines()]
    return [55_000 // batch * batch / row["seconds"] for row in rows[1:]]


def reduce_together(hidden, owned):
    """Seconds of an all-reduce of a network's gradients between two workers."""
    words = [sys.executable, __file__, "--serve", "reduce", ",".join(map(str, hidden)), "0"]
    processes = [
        subprocess.Popen(
            words,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda c=cores: os.sched_setaffinity(0, c),
        )
        for environment, cores in environments(owned)
    ]
    [seconds, *_] = [json.loads(process.communicate()[0]) for process in processes]
    return seconds


def serve_reduce(hidden, steps=200):
    """A worker's process: times steps that do nothing but sum the gradients over the workers, as the loop does."""
    from mlp_tf import door

    door.import_tensorflow()
    import tensorflow as tf

    from mlp_tf import cluster, workers
    from mlp_tf.config import Config
    from mlp_tf.model import init_params

    config = Config(strategy="multi_worker")
    together = cluster.connect(config, workers.seat(config), lambda: None, door.warn)
    with together.strategy.scope():
        variables = [tf.Variable(value) for value in tf.nest.flatten(init_params((784, *hidden, 10)))]
        optimizer = tf.compat.v1.train.GradientDescentOptimizer(0.0)

    @tf.function(autograph=False)
    def reduce_all():
        def step(i):
            def apply():
                optimizer.apply_gradients([(tf.zeros(v.shape), v) for v in variables])

            together.strategy.run(apply)
            return [i + 1]

        return tf.while_loop(lambda i: i < steps, step, [0])[0]

    reduce_all()
    seconds = []
    for _ in range(3):
        begin = time.perf_counter()
        reduce_all().numpy()
        seconds.append((time.perf_counter() - begin) / steps)
    print(json.dumps(seconds))
    return 0


def print_workers(report):
    print("\n| network | way | images a second: median (min - max) |\n|---|---|---|")
    for network, figures in report.items():
        for way, s in figures["images_per_second"].items():
            print(f"| {network} | {way} | {s['median']:,.0f} ({s['min']:,.0f} - {s['max']:,.0f}) |")
        reduce = figures["seconds_of_an_all_reduce"]
        share = figures["share_of_a_step"]
        print(f"{network}: an all-reduce takes {1000 * reduce['median']:.2f} ms, {share:.0%} of a step")
    print_model(report)


def print_model(report):
    """On paper: images a second of W workers like the one measured, with ring all-reduce over a link.

    A step of B images takes B / W * t + 2 (W - 1) (latency + 4 P / W / bandwidth): t of the one process,
    P parameters of 4 bytes, 2 (W - 1) messages of a W-th of them each; latency 50 microseconds.
    """
    for hidden in dict.fromkeys(hidden for hidden, _ in NETWORKS):
        sizes = (784, *hidden, 10)
        parameters = sum((a + 1) * b for a, b in itertools.pairwise(sizes))
        batch = max(batch for each, batch in NETWORKS if each == hidden)
        measured = report[f"784-{'-'.join(map(str, hidden))}-10, batch {batch}"]
        image = 1 / measured["images_per_second"]["1 process, 2 cores"]["median"]
        print(
            f"\n784-{'-'.join(map(str, hidden))}-10: {parameters:,} parameters, {1e6 * image:.1f} microseconds an image"
        )
        columns = "".join(f" images/s, batch {batch:,} |" for batch in BATCHES)
        print(
            "break-even: the batch whose computing takes as long as the all-reduce; gain: from which W workers beat one"
        )
        print(f"| link | workers | all-reduce, ms | break-even | gain |{columns}\n|{'---|' * (5 + len(BATCHES))}")
        for gigabits, workers in itertools.product((1, 25), (2, 4, 8, 16, 32, 64)):
            reduce = 2 * (workers - 1) * (50e-6 + 4 * parameters / workers / (gigabits * 1e9 / 8))
            speeds = "".join(f" {batch / (batch / workers * image + reduce):,.0f} |" for batch in BATCHES)
            even = reduce / image * workers
            cells = f"{1000 * reduce:.1f} | {even:,.0f} | {even / (workers - 1):,.0f}"
            print(f"| {gigabits} Gbit/s | {workers} | {cells} |{speeds}", flush=True)


KERAS_EPOCHS = """
import json, sys, time
import keras
from mlp_tf import data
keras.utils.set_random_seed(int(sys.argv[1]))
splits = data.load("mnist")
flat = lambda split: (split.images.reshape(-1, 784).astype("float32") / 255, split.labels)
(x, y), (xv, yv) = flat(splits.train), flat(splits.validation)
dense = lambda units: keras.layers.Dense(units, activation="relu")
model = keras.Sequential([keras.Input((784,)), dense(256), dense(256), keras.layers.Dense(10)])
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.Adam(0.001), loss, metrics=["accuracy"])
for epoch in range(int(sys.argv[2])):
    begin = time.perf_counter()
    model.fit(x, y, batch_size=100, epochs=1, verbose=0)
    seconds = time.perf_counter() - begin
    print(json.dumps({"seconds": seconds, "val_accuracy": model.evaluate(xv, yv, verbose=0)[1]}), flush=True)
"""
TARGETS = (0.98, 0.985, 0.99)


def measure_accuracy(seeds):
    """Training seconds until the validation accuracy first reaches each target; None where it never does."""
    ours = [sys.executable, "-m", "mlp_tf.train", "--dataset=mnist", "--validation_size=5000"]
    ways = {
        "the defaults, 40 epochs": lambda seed, folder: [*ours, "--epochs=40", f"--seed={seed}", f"--workdir={folder}"],
        "record_256_256": lambda seed, folder: [
            *ours[:3], f"--flagfile={RECIPES}/record_256_256.flags", "--validation_size=5000", f"--seed={seed}",
            f"--workdir={folder}",
        ],
        "Keras as it comes, 20 epochs": lambda seed, folder: [sys.executable, "-c", KERAS_EPOCHS, str(seed), "20"],
    }  # fmt: skip
    report = {way: [] for way in ways}
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    for seed in range(seeds):
        for way, words_of in ways.items():
            with tempfile.TemporaryDirectory() as folder:
                words = words_of(seed, f"{folder}/run")
                out = subprocess.run(words, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
                metrics = pathlib.Path(folder, "run/metrics.jsonl")
                lines = (metrics.read_text() if metrics.exists() else out).splitlines()
            report[way].append([json.loads(line) for line in lines])
    return {way: [reached(rows) for rows in runs] for way, runs in report.items()}


PARTS_OF_THE_RECORD = {"schedule": "linear", "label_smoothing": 0.1, "distort": 1.0, "deskew": True}


def measure_ablation(seeds=5, epochs=15):
    """Accuracy on 5,000 validation and 10,000 test images with none, each and all of what the record recipe adds."""
    from mlp_tf import door

    door.import_tensorflow()
    from mlp_tf import data, loop
    from mlp_tf.config import Config

    splits, report = data.load("mnist"), {}
    ways = {
        "none": {},
        **{name: {name: value} for name, value in PARTS_OF_THE_RECORD.items()},
        "all": PARTS_OF_THE_RECORD,
        "elastic": {"elastic": 0.5},
        "all, and elastic": {**PARTS_OF_THE_RECORD, "elastic": 0.5},
    }
    for way, settings in ways.items():
        report[way] = {"validation": [], "test": [], "seconds": []}
        for seed in range(seeds):
            rate = 0.003 if way.startswith("all") else 0.001
            config = Config(batch_size=128, epochs=epochs, seed=seed, learning_rate=rate, **settings)
            steps = splits.train.rows // config.batch_size
            state = loop.new_state(config, (784, 256, 256, 10), epochs * steps)
            train_steps = loop.build_train_steps(state, config, splits.train)
            chunks = loop.fit(state, config, splits.train, loop.Progress(0, 0, steps), train_steps)
            report[way]["seconds"].append(sum(p.seconds for p in chunks if p.step == steps))
            for split in ("validation", "test"):
                accuracy = loop.evaluate(state.weights, state.biases, config, getattr(splits, split))[1]
                report[way][split].append(accuracy)
    return report


def print_ablation(report):
    print("\n| with | validation | test | seconds |\n|---|---|---|---|")
    for way, figures in report.items():
        cells = [
            f"{statistics.mean(figures[k]):.4f} +- {statistics.stdev(figures[k]):.4f}" for k in ("validation", "test")
        ]
        print(f"| {way} | {' | '.join(cells)} | {statistics.mean(figures['seconds']):.1f} |", flush=True)


def measure_distort(rounds):
    """Seconds to distort all images, by mlp_tf and by TensorFlow's own transform, in turn."""
    from mlp_tf import door

    door.import_tensorflow()
    import tensorflow as tf

    from mlp_tf import data, warp

    images = tf.constant(arrays()[0])
    transform = functools.partial(
        tf.raw_ops.ImageProjectiveTransformV3,
        output_shape=[28, 28], fill_value=0.0, interpolation="BILINEAR", fill_mode="CONSTANT",
    )  # fmt: skip

    def by_tensorflow(epoch):
        maps = warp.affine_maps(tf.random.stateless_uniform([5, EXAMPLES], [0, epoch], -1.0, 1.0), 28, 28)
        return transform(images=images[..., None], transforms=tf.pad(maps, [[0, 0], [0, 2]]))

    ways = {
        "affine": lambda epoch: data.distort(images, 0, epoch, 1.0),
        "affine and elastic": lambda epoch: data.distort(images, 0, epoch, 1.0, 0.5),
        "affine, by ImageProjectiveTransformV3": by_tensorflow,
    }
    seconds = {way: [] for way in ways}
    for epoch in range(rounds + 1):
        for way, make in ways.items():
            begin = time.perf_counter()
            make(epoch).numpy()
            seconds[way].append(time.perf_counter() - begin)
    return {way: spread(values[1:]) for way, values in seconds.items()}


def reached(rows):
    """Training seconds until each target, the last seconds and accuracy of a run."""
    times = list(itertools.accumulate(row["seconds"] for row in rows))
    accuracies = [row["val_accuracy"] for row in rows]
    to = {t: next((s for s, a in zip(times, accuracies, strict=True) if a >= t), None) for t in TARGETS}
    return {"to": to, "seconds": times[-1], "accuracy": accuracies[-1]}


def print_accuracy(report):
    print(f"\n| way | {' | '.join(f'to {target}' for target in TARGETS)} | at the end |\n|---|---|---|---|---|")
    for way, runs in report.items():
        cells = []
        for target in TARGETS:
            times = [run["to"][target] for run in runs]
            came = [seconds for seconds in times if seconds is not None]
            words = f"{statistics.median(came):.1f} s ({min(came):.1f} - {max(came):.1f})" if came else "never"
            cells.append(words if len(came) in (0, len(runs)) else f"{words}, {len(came)} of {len(runs)} runs")
        end = statistics.mean(run["accuracy"] for run in runs), statistics.mean(run["seconds"] for run in runs)
        print(f"| {way} | {' | '.join(cells)} | {end[0]:.4f} in {end[1]:.1f} s |", flush=True)


def spread(values):
    """Median and range, as they go into the notes."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "n": len(values)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="timed epochs of each peer, 5 or more")
    parser.add_argument("--only", choices=PARTS, help="one part instead of all")
    parser.add_argument("--json", default="", help="where to write the figures as JSON")
    parser.add_argument("--picture", default="", help="where to draw the growth, as PNG")
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        peer, hidden, batch = options.serve
        if peer == "reduce":
            return serve_reduce(tuple(map(int, hidden.split(","))))
        return serve(peer, tuple(map(int, hidden.split(","))), int(batch))
    report = {"machine": platform.platform(), "cores": len(os.sched_getaffinity(0)), "rounds": options.rounds}
    if options.only in (None, "epochs"):
        report["epochs"] = {}
        for hidden, batch in SETTINGS:
            measured = {peer: spread(v) for peer, v in measure_epochs(hidden, batch, options.rounds).items()}
            report["epochs"][f"784-{'-'.join(map(str, hidden))}-10, batch {batch}"] = measured
            print_epochs(hidden, batch, measured)
    if options.only in (None, "commands"):
        commands = measure_commands(max(3, options.rounds // 2))
        report["commands"] = {name: {k: spread(v) for k, v in columns(rows).items()} for name, rows in commands.items()}
        print_commands(report["commands"])
    if options.only in (None, "accuracy"):
        report["accuracy"] = measure_accuracy(3)
        print_accuracy(report["accuracy"])
    if options.only in (None, "ablation"):
        report["ablation"] = measure_ablation()
        print_ablation(report["ablation"])
    if options.only in (None, "workers"):
        report["workers"] = measure_workers(max(2, options.rounds // 3))
        print_workers(report["workers"])
    if options.only in (None, "growth"):
        report["growth"] = measure_growth(max(3, options.rounds // 2))
        print_growth(report["growth"])
        if options.picture:
            draw_growth(report["growth"], options.picture)
    distort = functools.partial(measure_distort, 2 * options.rounds)
    for part, measure in (("distort", distort), ("long", measure_long), ("saves", measure_saves)):
        if options.only in (None, part):
            report[part] = measure()
            print(f"\n{part}: {json.dumps(report[part])}", flush=True)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(report, indent=1) + "\n")
    return 0


def columns(rows):
    names = ("seconds", "peak_mb", "seconds_until_training")
    return {name: values for name, values in zip(names, zip(*rows, strict=True), strict=True) if None not in values}


def print_epochs(hidden, batch, measured):
    print(f"\n784-{'-'.join(map(str, hidden))}-10, batch {batch}, {EXAMPLES:,} images an epoch")
    print("| way | seconds an epoch: median (min - max) | mlp_tf / this |\n|---|---|---|")
    ours = measured["mlp_tf"]["median"]
    for peer, s in measured.items():
        print(
            f"| {peer} | {s['median']:.3f} ({s['min']:.3f} - {s['max']:.3f}) | {ours / s['median']:.2f} |", flush=True
        )


def print_commands(commands):
    print("\nwhole command, start to exit, prepared MNIST, 15 epochs")
    for name, figures in commands.items():
        words = [f"{key} {s['median']:.1f} ({s['min']:.1f} - {s['max']:.1f})" for key, s in figures.items()]
        print(f"{name}: {', '.join(words)}")
    print(
        f"mlp_tf / keras {commands['mlp_tf']['seconds']['median'] / commands['keras']['seconds']['median']:.2f}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())

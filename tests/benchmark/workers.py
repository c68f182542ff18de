"""Images a second of several workers and devices on this one machine, and what an all-reduce costs.

The `train` command on MNIST, as one process and as two replicas on two cores, in turn; the first epoch does not count.
Then an all-reduce of a network's gradients between two processes on loopback, each on a core of its own. Run as a
script, this file is one of these processes.
"""

import contextlib
import itertools
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from common import environment, network_name, read_metrics, show, spread

from mlp_tf.config import Config, read, words_of

NETWORKS = list(itertools.product([(256, 256), (1024, 1024)], [100, 1000, 10_000]))  # (hidden, batch)
TRAINING_IMAGES = 55_000
LATENCY = 50e-6  # seconds of a message between two machines: assumed


def variants():
    """{variant: (its flags, the cores of each of its processes)}."""
    cores = sorted(os.sched_getaffinity(0))
    first, second = cores[:1], cores[1:2]
    return {
        "1 process, 1 core": ([], [first]),
        "1 process, 2 cores": ([], [first + second]),
        "2 logical devices, 2 cores": (["--strategy=mirrored", "--logical_cpus=2"], [first + second]),
        "2 processes, 1 core each": (["--strategy=multi_worker"], [first, second]),
    }


def measure(rounds):
    """{setting: images a second of each variant, seconds of an all-reduce, and its share of a step}."""
    return {_setting(hidden, batch): _measure_network(hidden, batch, rounds) for hidden, batch in NETWORKS}


def _setting(hidden, batch):
    return f"{network_name(hidden)}, batch {batch}"


def _measure_network(hidden, batch, rounds):
    together = "2 processes, 1 core each"
    speeds, reduces = {variant: [] for variant in variants()}, []
    for _ in range(rounds):
        for variant, (flags, cores) in variants().items():
            speeds[variant] += train([f"--hidden={words_of(hidden)}", *flags], batch, cores)
        reduces += reduce_gradients(hidden, variants()[together][1])
    reduce, step = spread(reduces), batch / statistics.median(speeds[together])
    return {
        "images_per_second": {variant: spread(values) for variant, values in speeds.items()},
        "seconds_of_an_all_reduce": reduce,
        "share_of_a_step": reduce["median"] / step,
    }


def train(flags, batch, cores, epochs=4):
    """Images a second in each epoch after the first, of a command that runs on each of these sets of cores."""
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "mlp_tf.train", "--dataset=mnist", f"--epochs={epochs}", f"--batch_size={batch}"]
        _run_workers([*words, "--learning_rate=0.0001", f"--workdir={folder}/run", *flags], cores)
        rows = read_metrics(f"{folder}/run")
    return [TRAINING_IMAGES // batch * batch / row["seconds"] for row in rows[1:]]


def reduce_gradients(hidden, cores):
    """Seconds of an all-reduce of a network's gradients between processes on these sets of cores, three times."""
    return json.loads(_run_workers([sys.executable, __file__, words_of(hidden)], cores)[0])


def _run_workers(words, cores):
    """Runs a command once on each set of cores, together, to their end: what each printed."""
    with contextlib.ExitStack() as stack:
        processes = []
        for own, tf_config in zip(cores, _tf_configs(len(cores)), strict=True):
            with _pinned(own):
                process = subprocess.Popen(
                    words, env=environment(TF_CONFIG=tf_config), stdout=subprocess.PIPE, text=True
                )
            processes.append(stack.enter_context(process))
        printed = [process.communicate()[0] for process in processes]
    for process in processes:
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, words)
    return printed


def _tf_configs(workers):
    """TF_CONFIG of each worker, at free ports; of one alone, which needs none, empty."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(workers)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    if workers == 1:
        return ["{}"]
    tasks = [{"type": "worker", "index": index} for index in range(workers)]
    return [json.dumps({"cluster": {"worker": addresses}, "task": task}) for task in tasks]


@contextlib.contextmanager
def _pinned(cores):
    """Keeps this thread on these cores meanwhile, and for good the processes that it starts."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def time_reduce(hidden, steps=200):
    """A worker's process: seconds of a step that only sums the gradients over the workers, as the loop does."""
    from mlp_tf.cli import command as cli_command
    from mlp_tf.cli import quiet

    quiet.import_tensorflow()
    import tensorflow as tf

    from mlp_tf.distribute import cluster, tf_config
    from mlp_tf.model import init_params

    config = Config(strategy="multi_worker")
    workers = cluster.connect(config, tf_config.task(config), lambda: None, cli_command.warn)
    with workers.strategy.scope():
        variables = [tf.Variable(value) for value in tf.nest.flatten(init_params((784, *hidden, 10)))]
        optimizer = tf.compat.v1.train.GradientDescentOptimizer(0.0)

    def apply_zeros():
        optimizer.apply_gradients([(tf.zeros(variable.shape), variable) for variable in variables])

    def step(i):
        workers.strategy.run(apply_zeros)
        return [i + 1]

    @tf.function(autograph=False)
    def take_steps():
        return tf.while_loop(lambda i: i < steps, step, [0])[0]

    take_steps()
    seconds = []
    for _ in range(3):
        begin = time.perf_counter()
        take_steps().numpy()
        seconds.append((time.perf_counter() - begin) / steps)
    return seconds


def report(figures):
    """Prints a table, the cost of each all-reduce, and from which batch on two machines could be worth it."""
    print("\n| network | variant | images a second: median (min - max) |\n|---|---|---|")
    for setting, network in figures.items():
        for variant, speed in network["images_per_second"].items():
            print(f"| {setting} | {variant} | {show(speed, ',.0f')} |")
    for setting, network in figures.items():
        reduce, share = network["seconds_of_an_all_reduce"], network["share_of_a_step"]
        print(f"{setting}: an all-reduce takes {1000 * reduce['median']:.2f} ms, {share:.0%} of a step")
    for hidden, batch in dict(NETWORKS).items():  # of each network the last, its largest batch
        speed = figures[_setting(hidden, batch)]["images_per_second"]["1 process, 2 cores"]["median"]
        at_1, at_25 = (break_even(hidden, speed, gigabits) for gigabits in (1, 25))
        print(
            f"{network_name(hidden)}: two workers break even with one at a batch of {at_1:,.0f} over 1 Gbit/s, "
            f"{at_25:,.0f} over 25 Gbit/s (by formula)",
            flush=True,
        )


def break_even(hidden, speed, gigabits):
    """The batch B of two workers whose computing, B / 2 images each, takes as long as its ring all-reduce.

    B * t = 2 * [2 (W - 1) (latency + 4 P / W / bandwidth)], with t = 1 / speed, W = 2 workers, P parameters.
    """
    workers, sizes = 2, (784, *hidden, 10)
    parameters = sum((inputs + 1) * outputs for inputs, outputs in itertools.pairwise(sizes))
    reduce = 2 * (workers - 1) * (LATENCY + 4 * parameters / workers / (gigabits * 1e9 / 8))
    return workers * reduce * speed


if __name__ == "__main__":
    print(json.dumps(time_reduce(read("hidden", sys.argv[1]))))

"""How the seconds of an epoch grow with hidden width, batch and images, and memory with images.

784-256-256-10, batch 100, 60,000 images, except for what varies. Over width and batch, mlp_tf and "matmuls only" take
turns (see peers.py). Over images, the `train` command reads an .npz file of as many, the largest of which takes 5 GB on
disk and in memory; "matmuls only" is computed in proportion there.
"""

import os
import sys
import tempfile

from commands import time_command
from common import EXAMPLES, arrays, network_name, read_metrics, show, spread
from peers import MATMULS, OURS, time_epochs

from mlp_tf.config import words_of

HIDDEN, BATCH = (256, 256), 100
WIDTHS = (64, 128, 256, 512, 1024, 2048)
BATCHES = (16, 64, 100, 256, 1024, 4096)
IMAGES = (60_000, 600_000, 6_000_000)
LABELS = {"width": "units of each hidden layer", "batch": "images in a batch", "images": "images in an epoch"}


def measure(rounds):
    """{what varies: {its value: seconds of an epoch, and peak bytes over images}}, and bytes an image."""
    figures = {
        "width": {width: _measure_point((width, width), BATCH, rounds) for width in WIDTHS},
        "batch": {batch: _measure_point(HIDDEN, batch, rounds) for batch in BATCHES},
    }
    of_an_image = figures["batch"][BATCH][MATMULS]["median"] / EXAMPLES
    figures["images"] = {n: {**train(n), MATMULS: {"median": n * of_an_image}} for n in IMAGES}
    peaks = {n: point["peak"] for n, point in figures["images"].items()}
    fewest, most = min(peaks), max(peaks)
    figures["bytes_an_image"] = (peaks[most] - peaks[fewest]) / (most - fewest)
    return figures


def _measure_point(hidden, batch, rounds):
    seconds = time_epochs(hidden, batch, rounds, (OURS, MATMULS))
    return {peer: spread(values) for peer, values in seconds.items()}


def train(images):
    """Seconds of an epoch, and peak bytes, of the command on so many images."""
    import numpy as np

    pixels, labels = arrays()
    times = images // EXAMPLES
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/images.npz"
        test = {"x_test": pixels[:1000], "y_test": labels[:1000]}
        np.savez(path, x_train=np.tile(pixels, (times, 1, 1)), y_train=np.tile(labels, times), **test)
        network = [f"--hidden={words_of(HIDDEN)}", f"--batch_size={BATCH}"]
        flags = [f"--dataset={path}", "--validation_size=0", "--epochs=2", f"--workdir={folder}/run"]
        cost = time_command([sys.executable, "-m", "mlp_tf.train", *network, *flags])
        seconds = [row["seconds"] for row in read_metrics(f"{folder}/run")]
    return {OURS: spread(seconds), "peak": cost.peak_mb * 2**20}


def report(figures):
    """Prints a table for each thing that varies, and a line on memory."""
    for what in LABELS:
        print(f"\n| {what} | seconds an epoch: median (min - max) | {MATMULS} | its share |\n|---|---|---|---|")
        for value, point in figures[what].items():
            seconds, bound = point[OURS], point[MATMULS]["median"]
            print(f"| {value:,} | {show(seconds)} | {bound:.3f} | {bound / seconds['median']:.2f} |")
    peaks = ", ".join(f"{point['peak'] / 1e6:,.0f} MB at {n:,}" for n, point in figures["images"].items())
    print(f"peak memory: {peaks}; {figures['bytes_an_image']:.0f} bytes an image, whose pixels are 784", flush=True)


def draw(figures, path):
    """Draws microseconds an image over each thing that varies, as PNG."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), sharey=True, constrained_layout=True)
    for axis, what in zip(axes, LABELS, strict=True):
        values = list(figures[what])
        for peer, style in ((OURS, "-"), (MATMULS, "--")):
            times = [1e6 * figures[what][v][peer]["median"] / _images_an_epoch(what, v) for v in values]
            axis.plot(values, times, marker="o", label=peer, linestyle=style)
        axis.set(xscale="log", yscale="log", xlabel=LABELS[what])
        axis.set_xticks(values, [f"{value:,}" for value in values], fontsize=8)
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("microseconds an image")
    axes[0].legend()
    cores = len(os.sched_getaffinity(0))
    title = f"{network_name(HIDDEN)}, batch {BATCH}, {EXAMPLES:,} images, except for what varies; {cores} cores"
    figure.suptitle(title)
    figure.savefig(path, dpi=100)


def _images_an_epoch(what, value):
    if what == "images":
        return value
    batch = value if what == "batch" else BATCH
    return EXAMPLES // batch * batch

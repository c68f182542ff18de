"""What several experiments share: random data, the environment of child processes, and figures in print."""

import json
import os
import pathlib
import statistics

EXAMPLES = 60_000  # images in an epoch
# They make NumPy's BLAS take another kernel, or other blocks, than those it would choose for this processor.
BLAS_OVERRIDES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


def arrays():
    """Random images and labels: the arithmetic of an epoch does not depend on what is in the picture."""
    import numpy as np

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (EXAMPLES, 28, 28)).astype(np.uint8)
    return images, rng.integers(0, 10, EXAMPLES).astype(np.int32)


def environment(**variables):
    """The environment of every child process: this one's, without what slows BLAS, and with these variables."""
    kept = {name: value for name, value in os.environ.items() if name not in BLAS_OVERRIDES}
    return {**kept, "TF_CPP_MIN_LOG_LEVEL": "3", **variables}


def read_metrics(workdir):
    """The rows of a run's metrics.jsonl, one an epoch."""
    return [json.loads(line) for line in pathlib.Path(workdir, "metrics.jsonl").read_text().splitlines()]


def network_name(hidden):
    """A network as tables show it, such as 784-256-256-10."""
    return "-".join(map(str, (784, *hidden, 10)))


def spread(values):
    """Median and range."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "n": len(values)}


def show(figures, style=".3f"):
    """A spread as tables show it."""
    return f"{figures['median']:{style}} ({figures['min']:{style}} - {figures['max']:{style}})"

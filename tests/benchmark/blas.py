"""The BLAS that computes the "matmuls only" rows, and its speed: they are a lower bound only if it runs at its best.

A child process, with the environment of all others, asks threadpoolctl for the library, version, kernel and threads of
NumPy's BLAS, and times products of two float32 matrices of 2048 x 2048: the best of several after a warm-up.
"""

import json
import subprocess
import sys
import time

from common import environment

SIDE = 2048


def measure(products):
    """The BLAS that NumPy uses in a child process, and the GF/s of the fastest of so many products."""
    words = [sys.executable, __file__, str(products)]
    done = subprocess.run(words, env=environment(), stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def describe(products):
    """The figures of this very process."""
    import numpy as np
    import threadpoolctl  # sees only libraries that are loaded, so NumPy comes first

    found = [library for library in threadpoolctl.threadpool_info() if library["user_api"] == "blas"]
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((SIDE, SIDE), np.float32) for _ in range(2))
    seconds = []
    for _ in range(products + 1):
        begin = time.perf_counter()
        a @ b
        seconds.append(time.perf_counter() - begin)
    return {
        "libraries": [
            {
                "library": library["internal_api"],
                "version": library["version"],
                "kernel": library.get("architecture"),  # not every library tells
                "threads": library["num_threads"],
            }
            for library in found
        ],
        "gflops": 2 * SIDE**3 / min(seconds[1:]) / 1e9,
    }


def report(figures):
    """Prints a line for each library that was found, and one for the speed."""
    print()
    if not figures["libraries"]:
        print("NumPy's BLAS: none that threadpoolctl knows")
    for found in figures["libraries"]:
        print(
            f"NumPy's BLAS: {found['library']} {found['version']}, kernel {found['kernel']}, {found['threads']} threads"
        )
    print(f"{SIDE} x {SIDE} x {SIDE} float32 product: {figures['gflops']:.0f} GF/s", flush=True)


if __name__ == "__main__":
    print(json.dumps(describe(int(sys.argv[1]))))

"""Seconds an epoch and resident memory of one process over 200 epochs: does anything slow down, or leak?

784-256-256-10, batch 100, random images; the first 20 epochs against the last 20. Run as a script, this file is that
process.
"""

import json
import pathlib
import re
import statistics
import subprocess
import sys
import time

from common import environment
from peers import mlp_tf_epoch


def measure(epochs):
    """Median seconds of the first and of the last 20 epochs, and resident memory after them."""
    words = [sys.executable, __file__, str(epochs)]
    done = subprocess.run(words, env=environment(), stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def train(epochs):
    """Trains 20 epochs or more in this very process: the figures."""
    epoch = mlp_tf_epoch((256, 256), 100)
    epoch()
    seconds, resident = [], []
    for _ in range(epochs):
        begin = time.perf_counter()
        epoch()
        seconds.append(time.perf_counter() - begin)
        resident.append(resident_mb())
    return {
        "epochs": epochs,
        "seconds_first_20": statistics.median(seconds[:20]),
        "seconds_last_20": statistics.median(seconds[-20:]),
        "resident_mb_after_20": resident[19],
        "resident_mb_at_the_end": resident[-1],
    }


def resident_mb():
    """Resident memory of this process."""
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


def report(figures):
    """Prints a line for time and one for memory."""
    print(f"\na run of {figures['epochs']} epochs in one process")
    print(f"seconds an epoch: first 20 {figures['seconds_first_20']:.3f}, last 20 {figures['seconds_last_20']:.3f}")
    after, end = figures["resident_mb_after_20"], figures["resident_mb_at_the_end"]
    print(f"resident memory: {after:.1f} MB after 20, {end:.1f} MB at the end", flush=True)


if __name__ == "__main__":
    print(json.dumps(train(int(sys.argv[1]))))

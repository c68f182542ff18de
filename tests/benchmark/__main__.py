"""Measures mlp_tf against its peers, and against itself: a program to run by hand, no test.

    python tests/benchmark                              everything; JAX and PyTorch where they are installed
    python tests/benchmark --rounds=7 --only=epochs

Each part is a file of this folder, which says what it measures and how. The parts with "matmuls only" rows begin with
the BLAS that computes them. Prints tables, and writes the same figures as JSON to --json. Needs the extra "dev".
"""

import argparse
import json
import os
import pathlib
import platform
import sys

import ablation
import accuracy
import blas
import commands
import distort
import epochs
import growth
import long_run
import own_data
import phases
import reuse
import saves
import workers

PARTS = {
    "blas": blas,
    "epochs": epochs,
    "commands": commands,
    "phases": phases,
    "accuracy": accuracy,
    "ablation": ablation,
    "workers": workers,
    "growth": growth,
    "distort": distort,
    "long": long_run,
    "saves": saves,
    "reuse": reuse,
    "own_data": own_data,
}
WITH_MATMULS = ("epochs", "growth")


def counts(rounds):
    """{part: what its `measure` takes}."""
    return {
        "blas": 10,  # products
        "epochs": rounds,
        "commands": max(3, rounds // 2),
        "phases": max(3, rounds // 2),
        "accuracy": 3,  # seeds
        "ablation": 5,  # seeds
        "workers": max(1, rounds // 3),
        "growth": max(3, rounds // 2),
        "distort": 2 * rounds,
        "long": 200,  # epochs
        "saves": 15,  # epochs
        "reuse": 6,  # runs
        "own_data": 5,  # seeds
    }


def parse_options():
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python tests/benchmark", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="timed epochs of each peer, 5 or more")
    parser.add_argument("--only", choices=PARTS, help="one part instead of all")
    parser.add_argument("--json", default="", help="where to write the figures as JSON")
    parser.add_argument("--picture", default="", help="where to draw the growth, as PNG")
    return parser.parse_args()


def parts_of(only):
    """The parts to measure, in order."""
    if not only:
        return list(PARTS)
    return ["blas", only] if only in WITH_MATMULS else [only]


def main():
    """Measures and reports part by part; returns the exit code."""
    options = parse_options()
    figures = {"machine": platform.platform(), "cores": len(os.sched_getaffinity(0)), "rounds": options.rounds}
    for part in parts_of(options.only):
        figures[part] = PARTS[part].measure(counts(options.rounds)[part])
        PARTS[part].report(figures[part])
        if part == "growth" and options.picture:
            growth.draw(figures[part], options.picture)
        if options.json:  # after each part, so that one that fails does not take the others along
            pathlib.Path(options.json).write_text(json.dumps(figures, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

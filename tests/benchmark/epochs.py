"""Seconds that an epoch takes mlp_tf and its peers, at four settings.

The peers (see peers.py) take turns, round after round. The figures are the median and range of their epochs, after two
of warm-up. JAX and PyTorch take part where they are installed.
"""

from common import EXAMPLES, network_name, show, spread
from peers import OURS, installed, time_epochs

SETTINGS = [((256, 256), 100), ((16, 16), 32), ((512,), 64), ((800, 800), 32)]  # (hidden, batch)


def measure(rounds):
    """{setting: {peer: seconds of an epoch}}."""
    figures = {}
    for hidden, batch in SETTINGS:
        seconds = time_epochs(hidden, batch, rounds, installed())
        name = f"{network_name(hidden)}, batch {batch}"
        figures[name] = {peer: spread(values) for peer, values in seconds.items()}
    return figures


def report(figures):
    """Prints a table for each setting."""
    for setting, peers in figures.items():
        print(f"\n{setting}, {EXAMPLES:,} images an epoch")
        print("| implementation | seconds an epoch: median (min - max) | mlp_tf / this |\n|---|---|---|")
        for peer, seconds in peers.items():
            ratio = peers[OURS]["median"] / seconds["median"]
            print(f"| {peer} | {show(seconds)} | {ratio:.2f} |", flush=True)

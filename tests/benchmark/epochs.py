"""Seconds that an epoch takes mlp_tf and its peers, at several settings.

The peers (see peers.py) take turns, round after round. The figures are the median and range of their epochs, after two
of warm-up. JAX and PyTorch take part where they are installed; at the settings of FASTEST just the fastest peers do.
"""

from common import EXAMPLES, network_name, show, spread
from peers import MATMULS, OURS, installed, time_epochs

ALL = [((256, 256), 100, "relu"), ((16, 16), 32, "relu"), ((512,), 64, "relu"), ((800, 800), 32, "relu")]
FASTEST = [
    ((10,), 128, "sigmoid"),
    ((100,), 128, "sigmoid"),
    *(((256, 256), batch, "relu") for batch in (16, 32, 1000, 4096)),
]


def measure(rounds):
    """{setting: {peer: seconds of an epoch}}."""
    figures = {}
    fastest = [peer for peer in installed() if peer in (OURS, MATMULS, "jax")]
    for setting in [*ALL, *FASTEST]:
        hidden, batch, activation = setting
        peers = installed() if setting in ALL else fastest
        seconds = time_epochs(hidden, batch, rounds, peers, activation)
        name = f"{network_name(hidden)} {activation}, batch {batch}"
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

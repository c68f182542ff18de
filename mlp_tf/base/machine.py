"""The machine: its memory, its processor, the threads that TensorFlow uses."""

import contextlib
import os
import pathlib
import platform

from mlp_tf import UserError

_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # of cgroup v2, and of v1
_OWN_BYTES = 600 * 2**20  # of this program with its libraries


def memory(limits=_LIMITS):
    """Returns the bytes of memory of this machine, or of its container if that is less, besides the program's own.

    Args:
      limits: files in which Linux states the limit of a container; they may be missing.
    """
    sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for limit in limits:
        with contextlib.suppress(OSError, ValueError):  # missing, or "max"
            sizes.append(int(pathlib.Path(limit).read_text()))
    return max(0, min(sizes) - _OWN_BYTES)


def check_memory(needed, subject, advice, unit="GiB", digits=1):
    """Checks that this machine has `needed` bytes of memory.

    Args:
      needed: bytes.
      subject, advice: the beginning and the end of the message.
      unit, digits: how the message counts: GiB with this many decimals.

    Raises:
      UserError: it has less.
    """
    available = memory()
    if needed > available:
        counts = [f"{count / 2**30:,.{digits}f}" for count in (needed, available)]
        raise UserError(f"{subject} {counts[0]} {unit}, and this machine has {counts[1]}; {advice}")


def processor():
    """Returns the kind of processor, as text."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(": ")[2] for line in lines if "model name" in line]
    return f"{platform.machine()}, {names[0] if names else platform.processor()}"


def threads():
    """Returns how many threads TensorFlow uses: TF_NUM_INTRAOP_THREADS, or the cores that this process may use."""
    words = os.environ.get("TF_NUM_INTRAOP_THREADS", "")
    if words.isdecimal() and int(words):
        return int(words)
    # Not every system knows the cores of a process.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()

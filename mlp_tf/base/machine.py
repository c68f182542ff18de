"""The machine: its memory, its processor, the threads that TensorFlow uses."""

import os
import pathlib
import platform

from mlp_tf import UserError


def memory(limit="/sys/fs/cgroup/memory.max"):
    """Bytes of memory that this machine has, or its container may use where that is less.

    Args:
      limit: the file in which Linux says the latter; there may be none.
    """
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        allowed = pathlib.Path(limit).read_text().strip()
    except OSError:
        return physical
    return physical if allowed == "max" else min(physical, int(allowed))


def check_memory(needed, subject, advice, unit="GiB", digits=1):
    """Raises UserError, which begins with `subject` and ends with `advice`, if so many bytes are not there.

    Args:
      unit, digits: how the line counts them: GiB with so many decimals.
    """
    if needed > (there := memory()):
        needed, there = (f"{count / 2**30:,.{digits}f}" for count in (needed, there))
        raise UserError(f"{subject} {needed} {unit}, and this machine has {there}; {advice}")


def processor():
    """Its kind, in words."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(": ")[2] for line in lines if "model name" in line]
    return f"{platform.machine()}, {names[0] if names else platform.processor()}"


def threads():
    """How many TensorFlow computes with: TF_NUM_INTRAOP_THREADS, or one for each core that this process may use."""
    words = os.environ.get("TF_NUM_INTRAOP_THREADS", "")
    if words.isdecimal() and int(words):
        return int(words)
    # Not every system can tell the cores that this very process may use.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()

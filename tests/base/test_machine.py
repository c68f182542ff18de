"""What the machine has."""

import os

import pytest

from mlp_tf.base import machine

WHOLE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
OWN = 600 * 2**20


@pytest.mark.parametrize("version", [0, 1])
def test_a_container_has_the_memory_that_its_limit_and_the_program_leave(tmp_path, version):
    limits = [tmp_path / "memory.max", tmp_path / "memory.limit_in_bytes"]
    assert machine.memory(limits) == WHOLE - OWN  # no such files
    for text, size in (("max\n", WHOLE), (f"{2**30}\n", 2**30), (f"{10 * WHOLE}\n", WHOLE), ("123\n", OWN)):
        limits[version].write_text(text)
        assert machine.memory(limits) == size - OWN

"""What the machine has."""

from mlp_tf.base import machine


def test_a_container_has_the_memory_that_its_limit_leaves(tmp_path):
    limit = tmp_path / "memory.max"
    whole = machine.memory(limit)  # no such file
    assert whole > 2**28
    for text, memory in (("max\n", whole), ("123456789\n", 123456789), (f"{10 * whole}\n", whole)):
        limit.write_text(text)
        assert machine.memory(limit) == memory

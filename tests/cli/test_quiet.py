"""Importing TensorFlow: what it sets, and what it leaves as it was."""

import json
import os
import subprocess
import sys

import pytest

from mlp_tf.cli import quiet

# A process that imports TensorFlow; for each claim about that, a line of JSON.
IMPORT = """
import gc, json, resource
from mlp_tf.cli import quiet
frozen = []
for _ in range(2):
    quiet.import_tensorflow()
    frozen.append(gc.get_freeze_count())
print(json.dumps([gc.isenabled(), *frozen]))
import tensorflow as tf

@tf.function(jit_compile=True)
def product_sum(size):  # needs 40 MB on its way
    return tf.reduce_sum(tf.matmul(tf.ones([3200, 3200]) * size, tf.ones([3200, 32])))

def pages_of_a_call():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    float(product_sum(2.0))
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print([pages_of_a_call() for _ in range(5)])
"""


@pytest.fixture(scope="module")
def fresh_import():
    """What a cold process that imports TensorFlow says: a list of lists of numbers."""
    done = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_compiled_call_finds_the_memory_of_the_one_before(fresh_import):
    _, pages = fresh_import
    assert min(pages[1:]) < 1000


def test_garbage_is_collected_after_the_import_and_after_a_second_call(fresh_import):
    [enabled, after_the_import, after_a_second_call], _ = fresh_import
    assert enabled
    assert after_the_import == after_a_second_call > 100_000


def test_what_the_environment_already_says_is_kept(monkeypatch):
    monkeypatch.setenv("TF_CPU_BFC_MEM_LIMIT_IN_MB", "4096")
    quiet.import_tensorflow()
    assert os.environ["TF_CPU_BFC_MEM_LIMIT_IN_MB"] == "4096"


@pytest.mark.parametrize("visible", [True, False])
@pytest.mark.parametrize("out", [True, False])
@pytest.mark.parametrize("err", [True, False])
def test_a_bar_is_drawn_only_if_stdout_and_stderr_are_terminals(monkeypatch, out, err, visible):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: out)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: err)
    with quiet.progress_bar(3, 0, visible) as bar:
        assert bar.disable == (not (out and err and visible))

"""The notebook recipes/first_steps.ipynb: its code runs, and the outputs that it shows are those that it has."""

import ast
import base64
import contextlib
import io
import json
import re

import pytest
from helpers import ROOT

PATH = ROOT / "mlp_tf/recipes/first_steps.ipynb"
NOTEBOOK = json.loads(PATH.read_text())
CELLS = NOTEBOOK["cells"]
CODE = {cell["id"]: "".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code"}
STORED = {cell["id"]: cell["outputs"] for cell in CELLS if cell["cell_type"] == "code"}


def run_cell(source, names):
    """Runs a cell in these names, and returns its outputs: [what it printed, the value of its last line or None]."""
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, "a cell", "exec"), names)
        value = last and eval(compile(ast.Expression(last.value), "a cell", "eval"), names)
    return [printed.getvalue(), value]


@pytest.fixture(scope="module")
def executed(tmp_path_factory, sample_read_once):
    """({cell: its outputs}, names) of the notebook, run once from top to bottom; that includes its training, of 3 s."""
    names = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("notebook"))
        return {name: run_cell(source, names) for name, source in CODE.items()}, names


def stored(name, kind):
    """What the notebook shows below a cell: the text that it printed ("stream"), or data ("execute_result")."""
    return [output for output in STORED[name] if output["output_type"] == kind]


def form(text):
    """A text without its numbers, which depend on the processor, and without its spaces, which depend on them."""
    return re.sub(r"\d[\d.,e+-]*", "0", text).split()


def size(png):
    """The bytes that hold width and height of a PNG."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    return png[16:24]


@pytest.mark.parametrize("name", CODE)
def test_a_cell_shows_what_it_prints_and_draws(executed, name):
    printed, value = executed[0][name]
    texts = ["".join(output["text"]) for output in stored(name, "stream")]
    assert form("".join(texts)) == form(printed)
    if value is None:
        assert stored(name, "execute_result") == []
    else:
        [output] = stored(name, "execute_result")
        assert size(base64.b64decode(output["data"]["image/png"])) == size(value._repr_png_())


def test_the_outputs_are_as_the_text_says(executed):
    outputs, names = executed
    rows = names["run"].history
    assert len(rows) == 10
    assert rows[-1]["cost"] < 0.5 * rows[-1]["val_cost"]  # overfitting
    assert names["run"].results.test_accuracy > 0.88
    before, after = re.findall(r"\d\.\d{4}", outputs["step"][0])
    assert float(after) < float(before)
    differences = re.findall(r"difference (\S+)", outputs["compare"][0])
    assert len(differences) == 3
    assert max(map(float, differences)) < 1e-4
    assert outputs["read"][0].startswith("a 7, ")
    assert "".join(stored("read", "stream")[0]["text"]).startswith("a 7, ")


def test_the_network_shown_in_the_text_is_that_of_the_model():
    [text] = ["".join(cell["source"]) for cell in CELLS if cell["id"] == "network"]
    layers = text.split("```python\n")[1].split("\n```")[0].splitlines()
    model = (ROOT / "mlp_tf/model.py").read_text()
    assert len(layers) == 3
    for line in layers:
        assert line.removeprefix("logits =") in model


def test_the_notebook_is_a_small_file_of_format_4_5_that_defines_nothing():
    assert PATH.stat().st_size < 500_000
    assert (NOTEBOOK["nbformat"], NOTEBOOK["nbformat_minor"]) == (4, 5)
    names = [cell["id"] for cell in CELLS]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[\w-]{1,64}", name) for name in names)
    assert [cell["execution_count"] for cell in CELLS if cell["cell_type"] == "code"] == [*range(1, len(CODE) + 1)]
    nodes = [node for source in CODE.values() for node in ast.walk(ast.parse(source))]
    assert not any(isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda) for node in nodes)

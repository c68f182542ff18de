"""The rules that hold the package together, read from its source."""

import ast
import configparser
import re
import sys

import pytest
from conftest import ROOT

RANKS = [
    {"model", "sources", "config", "workers", "door", "files", "figures", "pictures", "warp"},
    {"data", "checkpoint", "cluster"},
    {"loop", "events"},
    {"run", "trained"},
    {"train", "sweep", "evaluate", "predict", "export", "plot", "show_data"},
]
RANK = {name: rank for rank, names in enumerate(RANKS) for name in names}
MODULES = sorted(path for path in (ROOT / "mlp_tf").glob("*.py") if path.stem != "__init__")
# What a distribution's modules are called where that is not its name.
CALLED = {"absl-py": "absl", "pillow": "PIL", "tensorflow-datasets": "tensorflow_datasets"}


def imports(path):
    """(full name, names taken from it) of every import in a file, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module, [alias.name for alias in node.names]


def own_imports(path):
    for module, names in imports(path):
        if module == "mlp_tf":
            yield from (name for name in names if name in RANK)
        elif module.startswith("mlp_tf."):
            yield module.split(".")[1]


def declared(section, option):
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return {re.match(r"[\w-]+", line)[0] for line in parser[section][option].split("\n") if line.strip()}


def test_every_module_has_a_rank():
    assert {path.stem for path in MODULES} == RANK.keys()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_an_import_goes_only_to_a_lower_rank(path):
    for name in own_imports(path):
        assert RANK[name] < RANK[path.stem], f"{path.stem} imports {name}"


def test_the_map_in_the_package_docstring_shows_every_module_and_its_rank():
    lines = re.findall(
        r"^    (\d)  (.+?)\s{2,}", ast.get_docstring(ast.parse((ROOT / "mlp_tf/__init__.py").read_text())), re.M
    )
    shown = {name.removesuffix(".py"): int(rank) for rank, names in lines for name in names.split(", ")}
    assert shown == RANK


def test_every_dependency_that_is_imported_is_declared():
    outside = {m.split(".")[0] for p in MODULES for m, _ in imports(p)} - sys.stdlib_module_names - {"mlp_tf"}
    names = {CALLED.get(name, name) for name in declared("options", "install_requires")}
    # tensorflow-datasets imports importlib_resources without saying so.
    assert outside == names - {"importlib_resources"}


@pytest.mark.parametrize(
    "path", [p for p in MODULES if RANK[p.stem] < 4 and p.stem != "door"], ids=lambda path: path.stem
)
def test_only_commands_and_what_they_share_print_or_exit(path):
    assert not re.search(r"\bprint\(|sys\.exit", path.read_text())


def test_readme_commands_are_single_lines_of_its_first_screen():
    first = (ROOT / "README.md").read_text().splitlines()[:24]
    [train] = [line for line in first if line.endswith("-m mlp_tf.train --hidden=256,256 --epochs=15")]
    [test] = [line for line in first if line.endswith("python -m pytest")]
    for line in (train, test):
        assert line.startswith("    python3 -m venv .venv && .venv/bin/pip install")


def test_the_model_function_is_one_that_a_reader_can_copy():
    """No name in it but TensorFlow's and its own."""
    tree = ast.parse((ROOT / "mlp_tf/model.py").read_text())
    [function] = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "two_layer_perceptron"]
    names = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
    assert names == {"tf", "x", "weights", "biases", "layer_1", "layer_2"}

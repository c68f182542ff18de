"""The rules that hold the package together, read from its source and from the map in mlp_tf/__init__.py."""

import ast
import configparser
import re
import sys

import pytest
from helpers import ROOT

PACKAGE = ROOT / "mlp_tf"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")
# What a distribution's modules are called where that is not its name.
CALLED = {"absl-py": "absl", "pillow": "PIL", "tensorflow-datasets": "tensorflow_datasets"}


def read_map():
    """{name: place} of every module and wing, such as "runs" and "runs/files", from the package's docstring.

    A place is (rank,), or (rank, position) of a file in a wing.
    """
    places, rank, wing = {}, None, ""
    for line in ast.get_docstring(ast.parse((PACKAGE / "__init__.py").read_text())).splitlines():
        if found := re.match(r"rank (\d)", line.strip()):
            rank = int(found[1])
        elif found := re.match(r" {6}(\w+)/  ", line):
            wing = found[1]
            places[wing] = (rank,)
        elif found := re.match(r" {6}(\w+)\.py  ", line):
            places[found[1]] = (rank,)
        elif found := re.match(r" {8}(\w+)\.py  ", line):
            places[f"{wing}/{found[1]}"] = (rank, len(places))
    return places


MAP = read_map()


def name_of(path):
    return str(path.relative_to(PACKAGE).with_suffix(""))


def imports(path):
    """(full name, names taken from it) of every import in a file, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module, [alias.name for alias in node.names]


def own_imports(path):
    """Names in the map of the package's own modules and wings that a file imports."""
    for module, taken in imports(path):
        if module.split(".")[0] == "mlp_tf":
            start = module.split(".")[1:]
            found = {"/".join([*start, name]) for name in taken} & MAP.keys()
            yield from found or ["/".join(start)] * bool(start)


def functions(path):
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]


def nesting(function):
    """How many functions deep the functions in a function stand."""
    inner = [node for node in ast.walk(function) if node is not function and isinstance(node, ast.FunctionDef)]
    return max((1 + nesting(each) for each in inner), default=0)


def declared(section, option):
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return {re.match(r"[\w-]+", line)[0] for line in parser[section][option].split("\n") if line.strip()}


def test_the_map_shows_every_module_and_every_wing_and_nothing_else():
    wings = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert {name_of(path) for path in MODULES} | wings == MAP.keys()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_an_import_goes_down_and_in_a_wing_to_an_earlier_file(path):
    rank, *position = MAP[name_of(path)]
    for name in own_imports(path):
        if "/" in name and name.split("/")[0] == name_of(path).split("/")[0]:
            assert MAP[name][1] < position[0], f"{name_of(path)} imports {name}"
        else:
            assert MAP[name.split("/")[0]][0] < rank, f"{name_of(path)} imports {name}"


def test_the_loop_knows_the_model_its_regularizers_and_settings_alone():
    assert set(own_imports(PACKAGE / "loop.py")) <= {"model", "regularization", "config"}
    code = ast.unparse(ast.parse((PACKAGE / "loop.py").read_text()))
    assert not re.search(r"cluster|shard|distort|elastic|deskew|folder|path|open\(|strategy|worker|signal\.", code)


def test_model_and_loop_are_a_read_of_ten_minutes():
    heart = [PACKAGE / "model.py", PACKAGE / "loop.py"]
    assert sum(len(path.read_text().splitlines()) for path in heart) <= 330
    for function in (function for path in heart for function in functions(path)):
        assert function.end_lineno - function.lineno < 40, function.name
        taken = [argument.arg for argument in function.args.args + function.args.kwonlyargs if argument.arg != "self"]
        assert len(taken) <= 5, function.name
        assert nesting(function) <= 2, function.name


def test_every_dependency_that_is_imported_is_declared():
    outside = {m.split(".")[0] for p in MODULES for m, _ in imports(p)} - sys.stdlib_module_names - {"mlp_tf"}
    names = {CALLED.get(name, name) for name in declared("options", "install_requires")}
    # tensorflow-datasets imports importlib_resources without saying so.
    assert outside == names - {"importlib_resources"}


@pytest.mark.parametrize(
    "path",
    [p for p in MODULES if MAP[name_of(p)][0] < 4 and name_of(p) not in ("cli/command", "cli/signals")],
    ids=name_of,
)
def test_only_commands_and_what_they_share_print_or_exit(path):
    assert not re.search(r"\bprint\(|sys\.exit", path.read_text())


def test_readme_commands_are_single_lines_of_its_first_screen():
    first = (ROOT / "README.md").read_text().splitlines()[:45]
    [train] = [line for line in first if line.endswith("-m mlp_tf.train --hidden=256,256 --epochs=15")]
    [test] = [line for line in first if line.endswith("python -m pytest")]
    for line in (train, test):
        assert line.startswith("    python3 -m venv .venv && .venv/bin/pip install")


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("test_*.py")), ids=lambda path: path.stem)
def test_a_tests_name_has_at_most_70_characters(path):
    assert [function.name for function in functions(path) if len(function.name) > 70] == []


def test_the_model_function_is_one_that_a_reader_can_copy():
    """No name in it but TensorFlow's and its own."""
    [function] = [f for f in functions(PACKAGE / "model.py") if f.name == "two_layer_perceptron"]
    names = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
    assert names == {"tf", "x", "weights", "biases", "layer_1", "layer_2"}

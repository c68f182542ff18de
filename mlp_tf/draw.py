"""Writes a page to draw on: one file that any browser opens offline, and that predicts what the run predicts.

    python -m mlp_tf.draw RUN                 (RUN/draw.html)
    python -m mlp_tf.draw RUN --out=FILE.html

While you draw, with mouse, finger or pen, the page shows the prepared image, the outputs of each hidden layer, the
probabilities, the answer, and warnings about ink that does not look like one digit. The page holds the weights and
sends nothing anywhere. RUN is the folder of a run on gray images; --workdir=RUN names it too.
"""

import base64
import importlib.resources
import json
import pathlib

from absl import flags as absl_flags

from mlp_tf import UserError
from mlp_tf.base import files
from mlp_tf.cli import command, flags, quiet
from mlp_tf.config import words_of
from mlp_tf.runs.folder import read_folder
from mlp_tf.runs.identity import OUTSIDE

_GALLERY = 10  # images


def define_flags(values):
    """Defines the flags of this command."""
    flags.define_runs(values)
    flags.define_data_dir(values)
    absl_flags.DEFINE_string("out", "", "The file; empty: draw.html in the run's folder.", flag_values=values)


def main(values, words):
    """Writes the page of the run that the command line names; returns the exit code."""
    [workdir] = flags.run_folders(values, words, most=1)
    out = flags.path(values, "out")
    trained_on = read_folder(workdir).description.data
    if trained_on.dtype != "uint8" or len(trained_on.example_shape) != 2:
        raise UserError(
            f"--workdir={workdir}: was trained on {trained_on.dtype} of shape {list(trained_on.example_shape)}; the "
            "page needs a run on gray images, uint8 [H, W]"
        )
    path = pathlib.Path(out or pathlib.Path(workdir) / "draw.html")
    if path.is_dir():
        raise UserError(f"--out={out}: is a folder; give a file, such as {path / 'draw.html'}")
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise UserError(f"{path}: is a link or a device, which is not replaced; give another file with --out=FILE.html")
    quiet.import_tensorflow()
    from mlp_tf.runs.trained import load

    run = load(workdir)
    command.warn(*run.warnings)
    test = run.splits(flags.path(values, "data_dir")).test
    content = page(run, test, run.evaluate(test).accuracy)
    files.write(path, content)
    print(f"Page: {path} ({len(content) / 1e6:.1f} MB)")
    return 0


def page(run, split, accuracy):
    """Returns the page as text.

    Args:
      run: `TrainedRun` on gray images, uint8 `[H, W]`.
      split: `Split`; the page offers up to ten of its images.
      accuracy: of the run on the split, 0 to 1.
    """
    folder = importlib.resources.files("mlp_tf.handwriting") / "page"
    text = (folder / "draw.html").read_text(encoding="utf-8")
    for name in ("perceptron.js", "ink.js", "page.js"):
        text = text.replace("{{" + name + "}}", (folder / name).read_text(encoding="utf-8"))
    # In a script, "</script>" ends it and "<!--" begins a comment, also within a string.
    return text.replace("{{MODEL}}", json.dumps(_describe(run, split, accuracy)).replace("<", "\\u003c"))


def _describe(run, split, accuracy):
    """Returns what the scripts of the page read as MODEL."""
    config = run.config
    names = run.class_names
    style = run.description.ink_style
    height, width = run.description.data.example_shape
    layers = [(f"h{i}", f"b{i}") for i in range(1, len(run.weights))] + [("out", "out")]
    return {
        "title": run.title,
        "accuracy": f"{accuracy:.4f}",
        "settings": {name: words_of(getattr(config, name)) for name in config.to_json() if name not in OUTSIDE},
        "height": height,
        "width": width,
        "classes": list(names),
        "isDarkInk": bool(style and style.is_dark),
        "usualWarnings": style.usual_warnings if style else [],
        "divisor": 255 if config.scaling == "auto" else 1,
        "activation": config.activation,
        "deskew": config.deskew,
        "trusted": run.trusted,
        "units": list(config.hidden),
        "layers": [
            {"weights": _encode(run.weights[w], "<f4"), "biases": _encode(run.biases[b], "<f4")} for w, b in layers
        ],
        "gallery": [
            {"image": _encode(split.images[i], "u1"), "name": names[split.labels[i]]}
            for i in _choose_examples(split.labels)
        ],
    }


def _encode(array, dtype):
    """Returns an array's values in row-major order, in base64."""
    return base64.b64encode(array.astype(dtype).tobytes()).decode()


def _choose_examples(labels):
    """Returns the indices of ten images: the first of each class, then others if there are fewer classes."""
    import numpy as np

    _, firsts = np.unique(labels, return_index=True)
    others = np.setdiff1d(np.arange(min(len(labels), 2 * _GALLERY)), firsts)
    return [*firsts, *others][:_GALLERY]


if __name__ == "__main__":
    command.end(command.run(main, __doc__, define_flags, takes_words=True))

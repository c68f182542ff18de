"""Lists the commands of the package, or runs one.

`python -m mlp_tf` lists them; `python -m mlp_tf train --epochs=15` is `python -m mlp_tf.train --epochs=15`.
"""

import runpy
import sys

import mlp_tf
from mlp_tf import UserError
from mlp_tf.cli import command

COMMANDS = {  # in the order of their use
    "show_data": "shows a dataset as training sees it",
    "train": "trains a network, or resumes a run",
    "evaluate": "measures loss, accuracy and confusion of runs",
    "predict": "classifies image files, or the rows of a table",
    "plot": "plots training curves and first-layer weights",
    "layers": "shows activations and gradients of each layer",
    "by_hand": "takes training steps in NumPy, and compares",
    "draw": "writes a web page that recognizes drawn digits",
    "export": "exports a run as a SavedModel",
    "sweep": "trains several networks, and compares them",
}


def main(values, words: list[str]) -> int:
    """Prints the list, unless the words name another command; returns the exit code."""
    if words == ["--version"]:
        print(f"mlp_tf {mlp_tf.__version__}")
    elif not words or words[0] in ("-h", "--help"):
        print(f"{mlp_tf.__doc__.splitlines()[0]} The commands:\n")
        for name, text in COMMANDS.items():
            print(f"    python -m mlp_tf.{name:9}  {text}")
        print("\nEach has --help.")
    else:
        raise UserError(f"{words[0]}: no such command; give one of {', '.join(COMMANDS)}")
    return 0


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1] in COMMANDS:
        runpy.run_module(f"mlp_tf.{sys.argv.pop(1)}", run_name="__main__", alter_sys=True)  # ends the process
    # All words go to main: no flag belongs to this list.
    command.end(command.run(main, __doc__, lambda values: None, [sys.argv[0], "--", *sys.argv[1:]], takes_words=True))

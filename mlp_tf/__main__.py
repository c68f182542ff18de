"""Lists the commands of the package, a line for each.

python -m mlp_tf
"""

import ast
import pathlib
import sys

import mlp_tf
from mlp_tf import UserError
from mlp_tf.cli import command


def main(values, words):
    """Prints the list, unless a command is asked for; returns the exit code."""
    commands = _commands()
    if not words or words[0] in ("-h", "--help"):
        _print_list(commands)
        return 0
    if words[0] in commands:
        raise UserError(f"{words[0]}: give the command as python -m mlp_tf.{words[0]}")
    raise UserError(
        f"{words[0]}: no such command; give python -m mlp_tf.COMMAND, where COMMAND is one of {', '.join(commands)}"
    )


def _commands():
    """{name: what it does} of each module here that defines `main`; read, as importing them takes longer."""
    commands = {}
    for path in sorted(pathlib.Path(__file__).parent.glob("[!_]*.py")):
        tree = ast.parse(path.read_bytes())
        if any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body):
            commands[path.stem] = ast.get_docstring(tree).splitlines()[0]
    return commands


def _print_list(commands):
    print(f"{mlp_tf.__doc__.splitlines()[0]} The commands:\n")
    width = max(map(len, commands))
    for name, text in commands.items():
        print(f"    python -m mlp_tf.{name:{width}}    {text}")
    print("\nEach has --help.")


if __name__ == "__main__":
    # All words are main's: a flag among them is meant for the command that they name.
    command.end(command.run(main, __doc__, lambda values: None, [sys.argv[0], "--", *sys.argv[1:]], takes_words=True))

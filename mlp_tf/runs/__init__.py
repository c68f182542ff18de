"""Runs on disk: `open_run` trains one in its folder, `load` reads a trained one."""

import importlib

_HOMES = {"open_run": "run", "load": "trained"}


def __getattr__(name):
    # Imported when used, as `trained` imports TensorFlow, and a command refuses a folder before that.
    if name in _HOMES:
        return getattr(importlib.import_module(f"mlp_tf.runs.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Turns labels of any kind into numbers of classes, and names the classes."""

import sys

import numpy as np

from mlp_tf import UserError

LONGEST = 200  # characters of a word
_ADVICE = {  # by the kind of the type
    "f": "make them whole numbers, such as y.astype(int), if they are classes; regression is not supported",
    "O": "make them words or whole numbers, such as y.astype(str)",
}


def check_type(name, dtype, shape):
    """Checks that an array of labels is `[N]` or `[N, 1]`, of whole numbers or of words; raises UserError if not.

    Args:
      name: of the array, for the message.
    """
    allowed = f"whole numbers, or words of at most {LONGEST} characters, of shape [N]"
    if len(shape) == 2 and shape[1] == 1:
        shape = shape[:1]
    if len(shape) == 2:
        advice = "take y.argmax(axis=1), if they are one-hot"
    elif dtype.kind in "US" and dtype.itemsize > np.dtype(f"{dtype.kind}{LONGEST}").itemsize:
        advice = "make them shorter"
    elif len(shape) == 1 and dtype.kind in "biuUS":
        return
    else:
        advice = _ADVICE.get(dtype.kind, "give one label for each example")
    raise UserError(f"{name} is {dtype} of shape {shape}; labels must be {allowed}: {advice}")


def number(labels, names):
    """Numbers the classes: the distinct labels of the training rows, sorted.

    Args:
      labels: {"train": array `[N]` of whole numbers or of words}, and the same of other splits.
      names: {split: what to call its array in a message}.

    Returns:
      ({split: the numbers as int32 `[N]`}, the names of the classes).

    Raises:
      UserError: fewer than two classes, an invalid code point, or a label of another split that no training row has.
    """
    train = _decode(labels["train"], names["train"])
    values, numbers = np.unique(train, return_inverse=True)
    class_names = tuple(map(str, values.tolist()))
    if len(values) < 2:
        content = f"the class {class_names[0]} only" if class_names else "no labels"
        raise UserError(f"{names['train']} holds {content}; give two classes or more")
    number_of = {value: i for i, value in enumerate(values.tolist())}
    numbered = {"train": numbers.astype(np.int32)}
    for split in [split for split in labels if split != "train"]:
        others = _decode(labels[split], names[split])
        if (train.dtype.kind == "U") != (others.dtype.kind == "U"):
            raise UserError(
                f"{names['train']} is {train.dtype}, but {names[split]} {others.dtype}; make both the same type"
            )
        numbered[split] = np.array([number_of.get(value, -1) for value in others.tolist()], np.int32)
        unknown = numbered[split] < 0
        if unknown.any():
            row = unknown.argmax()
            raise UserError(
                f"{names[split]}[{row}] is {others[row].item()!r}, but the classes of {names['train'].split()[-1]} are "
                f"{_listed(class_names)}; leave such rows out, or add some to the training rows"
            )
    return numbered, class_names


def match(labels, class_names, name):
    """Returns the run's class that each label names, int32 `[N]`.

    Args:
      labels: array `[N]` of whole numbers or of words. If no class is called 01 or 1.0, these mean the class 1.
      class_names: of the run.
      name: of the array, for the message.

    Raises:
      UserError: a label that has an invalid code point or is not a class of the run.
    """
    values, places = np.unique(_decode(labels, name), return_inverse=True)
    number_of = {each: i for i, each in enumerate(class_names)}
    words = [str(value) for value in values.tolist()]
    numbers = np.array([number_of.get(word, number_of.get(_whole(word), -1)) for word in words], np.int32)[places]
    if (numbers < 0).any():
        row = (numbers < 0).argmax()
        raise UserError(
            f"{name}: row {row + 1} is {words[places[row]]!r}, but the classes of the run are {_listed(class_names)}; "
            "leave such rows out"
        )
    return numbers


def _whole(word):
    """Returns a whole number as its digits, such as 1 for 01 and 1.0; other words as they are."""
    try:
        value = float(word)
    except ValueError:
        return word
    return str(int(value)) if value.is_integer() else word


def _listed(class_names):
    return ", ".join(class_names if len(class_names) <= 10 else [*class_names[:9], "...", class_names[-1]])


def _decode(labels, name):
    """Returns labels of bytes as words, others as they are; raises UserError for an invalid code point."""
    if labels.dtype.kind == "S":
        return np.char.decode(labels, "utf-8", "backslashreplace")
    if labels.dtype.kind == "U" and labels.dtype.itemsize:
        codes = np.ascontiguousarray(labels).view(labels.dtype.byteorder + "u4")  # NumPy does not check them
        if codes.max(initial=0) > sys.maxunicode:
            row = codes.argmax() // (len(codes) // len(labels))
            raise UserError(
                f"{name}: row {row + 1} holds the code point {codes.max():#x}; must be at most {sys.maxunicode:#x}: "
                "save the labels again"
            )
    return labels

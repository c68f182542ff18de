"""Labels of any kind: which class each is, and what the classes are called."""

import numpy as np

from mlp_tf import UserError

LONGEST = 200  # characters of a word
_ADVICE = {  # kind of type: how it is made right
    "f": "make them whole numbers, such as y.astype(int), if they are classes; other numbers cannot be learned here",
    "O": "make them words or whole numbers, such as y.astype(str)",
}


def check_type(name, dtype, shape):
    """Raises UserError unless an array of labels is `[N]`, of whole numbers or of words.

    Args:
      name: of the array, for the message.
    """
    allowed = f"whole numbers, or words of at most {LONGEST} characters, of shape [N]"
    if len(shape) == 2:
        advice = "take y.ravel()" if shape[1] == 1 else "take y.argmax(axis=1), if they are one-hot"
    elif dtype.kind in "US" and dtype.itemsize > (4 if dtype.kind == "U" else 1) * LONGEST:
        advice = "make them shorter"
    elif len(shape) == 1 and dtype.kind in "biuUS":
        return
    else:
        advice = _ADVICE.get(dtype.kind, "give one label an example")
    raise UserError(f"{name} is {dtype} of shape {shape}; labels must be {allowed}: {advice}")


def number(train, test, train_name="y_train", test_name="y_test"):
    """Numbers the classes: the distinct labels of the training rows, sorted.

    Args:
      train, test: arrays `[N]` of whole numbers or of words; `test` may be None.
      train_name, test_name: of the arrays, for the message.

    Returns:
      (train, test, names): the numbers as int32 `[N]` (None for a `test` of None), the names of the classes.

    Raises:
      UserError: fewer than two classes, or a label of `test` that is none of `train`.
    """
    train, test = _text(train), _text(test)
    values, numbers = np.unique(train, return_inverse=True)
    names = tuple(map(str, values.tolist()))
    if len(values) < 2:
        raise UserError(
            f"{train_name} holds {f'the class {names[0]} only' if names else 'no labels'}; give two classes or more"
        )
    if test is None:
        return numbers.astype(np.int32), None, names
    if (train.dtype.kind == "U") != (test.dtype.kind == "U"):
        raise UserError(f"{train_name} is {train.dtype}, but {test_name} {test.dtype}; make them one")
    place_of = {value: place for place, value in enumerate(values.tolist())}
    places = np.array([place_of.get(value, -1) for value in test.tolist()], np.int32)
    if (wrong := np.flatnonzero(places < 0)).size:
        raise UserError(
            f"{test_name}[{wrong[0]}] is {test[wrong[0]].item()!r}, but the classes of {train_name.split()[-1]} are "
            f"{_few(names)}; leave such rows out, or add some to the training rows"
        )
    return numbers.astype(np.int32), places, names


def _text(labels):
    return (
        np.char.decode(labels, "utf-8", "backslashreplace")
        if labels is not None and labels.dtype.kind == "S"
        else labels
    )


def _few(names):
    return ", ".join(names if len(names) <= 10 else [*names[:9], "...", names[-1]])

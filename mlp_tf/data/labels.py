"""Labels of any kind: the class of each, and the names of the classes."""

import numpy as np

from mlp_tf import UserError

LONGEST = 200  # characters of a word
_ADVICE = {  # by the kind of the type
    "f": "make them whole numbers, such as y.astype(int), if they are classes; other numbers cannot be learned here",
    "O": "make them words or whole numbers, such as y.astype(str)",
}


def check_type(name, dtype, shape):
    """Checks that an array of labels is `[N]`, of whole numbers or of words; raises UserError if not.

    Args:
      name: of the array, for the message.
    """
    allowed = f"whole numbers, or words of at most {LONGEST} characters, of shape [N]"
    if len(shape) == 2:
        advice = "take y.ravel()" if shape[1] == 1 else "take y.argmax(axis=1), if they are one-hot"
    elif dtype.kind in "US" and dtype.itemsize > np.dtype(f"{dtype.kind}{LONGEST}").itemsize:
        advice = "make them shorter"
    elif len(shape) == 1 and dtype.kind in "biuUS":
        return
    else:
        advice = _ADVICE.get(dtype.kind, "give one label for each example")
    raise UserError(f"{name} is {dtype} of shape {shape}; labels must be {allowed}: {advice}")


def number(train, test, train_name="y_train", test_name="y_test"):
    """Numbers the classes: the distinct labels of the training rows, sorted.

    Args:
      train, test: arrays `[N]` of whole numbers or of words; `test` may be None.
      train_name, test_name: of the arrays, for the message.

    Returns:
      (train, test, names): the numbers as int32 `[N]` (None for a `test` of None), the names of the classes.

    Raises:
      UserError: fewer than two classes, or a label of `test` that no row of `train` has.
    """
    train = _decode(train)
    values, numbers = np.unique(train, return_inverse=True)
    names = tuple(map(str, values.tolist()))
    if len(values) < 2:
        content = f"the class {names[0]} only" if names else "no labels"
        raise UserError(f"{train_name} holds {content}; give two classes or more")
    if test is None:
        return numbers.astype(np.int32), None, names
    test = _decode(test)
    if (train.dtype.kind == "U") != (test.dtype.kind == "U"):
        raise UserError(f"{train_name} is {train.dtype}, but {test_name} {test.dtype}; make both the same type")
    number_of = {value: i for i, value in enumerate(values.tolist())}
    test_numbers = np.array([number_of.get(value, -1) for value in test.tolist()], np.int32)
    unknown = test_numbers < 0
    if unknown.any():
        row = unknown.argmax()
        listed = names if len(names) <= 10 else [*names[:9], "...", names[-1]]
        raise UserError(
            f"{test_name}[{row}] is {test[row].item()!r}, but the classes of {train_name.split()[-1]} are "
            f"{', '.join(listed)}; leave such rows out, or add some to the training rows"
        )
    return numbers.astype(np.int32), test_numbers, names


def _decode(labels):
    """Returns labels of bytes as words, others as they are."""
    return np.char.decode(labels, "utf-8", "backslashreplace") if labels.dtype.kind == "S" else labels

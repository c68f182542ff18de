"""JSON from outside: parsed strictly, and checked against the types that a class names for its fields."""

import json
import math
import types
import typing

_LARGEST = 2**53  # of the whole numbers: all that are counted here are from 0 to it


def parse(text):
    """The content of a JSON text (str, or bytes in UTF-8).

    Raises:
      ValueError: not JSON, NaN or Infinity, nested too deeply, or no UTF-8.
    """
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _refuse(constant):
    raise ValueError(f"{constant} is not a number")


def conform(content, form, name=""):
    """The content, once it was checked to be of a form; tuples and named tuples are made of JSON's lists and objects.

    Args:
      form: int (from 0 to 2**53), float (finite), bool, str, dict, None, `list[...]`, `tuple[..., ...]`,
        `dict[str, ...]`, `... | ...`, a NamedTuple or a TypedDict. A field with a default, or NotRequired, may be
        missing; fields that the form does not have are left out.
      name: of the content, for the message; those of its parts come after it.

    Raises:
      ValueError: it is not; says where, what is there and what must be.
    """
    origin, args = typing.get_origin(form), typing.get_args(form)
    if origin is types.UnionType:
        return _one_of(content, args, name)
    if origin in (list, tuple) and isinstance(content, list):
        return origin(conform(each, args[0], f"{name}[{i}]") for i, each in enumerate(content))
    if origin is dict and isinstance(content, dict):
        return {key: conform(each, args[1], _part(name, key)) for key, each in content.items()}
    if _has_fields(form) and isinstance(content, dict):
        return _record(content, form, name)
    if origin is None and not _has_fields(form) and _is_plain(content, form):
        return content
    raise ValueError(f"{name or 'it'} is {_shown(content)}, but must be {_words(form)}")


def _one_of(content, forms, name):
    for form in forms:
        try:
            return conform(content, form, name)
        except ValueError:
            continue
    raise ValueError(f"{name or 'it'} is {_shown(content)}, but must be {' or '.join(map(_words, forms))}")


def _part(name, key):
    return f"{name}.{key}" if name else key


def _has_fields(form):
    return typing.is_typeddict(form) or hasattr(form, "_fields")


def _record(content, form, name):
    fields = typing.get_type_hints(form)
    required = form.__required_keys__ if typing.is_typeddict(form) else fields.keys() - form._field_defaults.keys()
    if missing := [field for field in fields if field in required and field not in content]:
        raise ValueError(f"{name or 'it'} lacks {missing[0]}")
    return form(
        **{field: conform(content[field], fields[field], _part(name, field)) for field in fields if field in content}
    )


def _is_plain(content, form):
    if form is int:
        return type(content) is int and 0 <= content <= _LARGEST
    if form is float:
        return type(content) in (int, float) and abs(content) <= 1e308 and math.isfinite(content)
    return content is None if form is types.NoneType else type(content) is form


def _shown(content):
    text = json.dumps(content) if isinstance(content, str | int | float | None) else f"a {type(content).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _words(form):
    if form is int:
        return f"a whole number from 0 to {_LARGEST}"
    if form is types.NoneType:
        return "null"
    words = {float: "a finite number", bool: "true or false", str: "a string"}
    if typing.get_origin(form) in (list, tuple):
        return "a list"
    return words.get(form, "an object")

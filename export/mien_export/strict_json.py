# SPDX-License-Identifier: Apache-2.0
"""JSON documents as frozen dataclasses: every field there, none left over, each of its type."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")


def from_json(kind: type[T], value: Any, where: str = "the document") -> T:
    """Build a dataclass from what `json.loads` returned.

    Args:
        kind: a dataclass whose fields are dataclasses, ``tuple[X, ...]``, ``dict[str, X]``, str,
            bool, int or float.
        value: the parsed document.
        where: how to call it in an error.

    Raises:
        ValueError: it does not fit; the message names the place.
    """
    result: T = _read(kind, value, where)
    return result


def _read(kind: Any, value: Any, where: str) -> Any:
    if is_dataclass(kind):
        return _read_object(kind, value, where)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is tuple:
        items = _require(list, value, where)
        return tuple(_read(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(items))
    if origin is dict:
        pairs = _require(dict, value, where).items()
        return {key: _read(arguments[1], item, f"{where}.{key}") for key, item in pairs}
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is float and isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where} is {value}; expected a finite number")
    if kind is int and isinstance(value, bool):
        raise ValueError(f"{where} is {value!r}; expected int")
    return _require(kind, value, where)


def _read_object(kind: Any, value: Any, where: str) -> Any:
    content = _require(dict, value, where)
    names = {field.name for field in fields(kind)}
    if content.keys() != names:
        missing, unknown = sorted(names - content.keys()), sorted(content.keys() - names)
        raise ValueError(f"{where} lacks {missing} and has the unknown {unknown}")
    hints = get_type_hints(kind)
    return kind(**{name: _read(hints[name], content[name], f"{where}.{name}") for name in names})


def _require(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"{where} is {value!r:.60}; expected {kind.__name__}")
    return value

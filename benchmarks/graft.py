"""A mutated module's functions put in the place of those that are loaded, so that nothing is imported again."""

from __future__ import annotations

import datetime as dt
import functools
import inspect
import sys
import types
from collections.abc import Iterator
from typing import Any

import numpy as np

_PLAIN = (bool, int, float, str, tuple, frozenset, dict, list, dt.datetime, dt.timedelta, np.generic)


def functions_of(module: types.ModuleType) -> dict[str, types.FunctionType]:
    """Qualified name -> function, for everything that the module itself defines, methods and properties too."""
    return {one.__qualname__: one for one in _found(vars(module), module.__name__)}


def graft(module: types.ModuleType, text: str) -> bool:
    """Give the loaded `module` the behaviour of the mutated `text`; False when that cannot be done in place."""
    other = types.ModuleType(module.__name__)
    other.__file__ = module.__file__
    exec(compile(text, str(module.__file__), "exec"), vars(other))
    mine, theirs = functions_of(module), functions_of(other)
    if mine.keys() != theirs.keys():
        return False
    for name, function in mine.items():
        function.__code__ = theirs[name].__code__
        function.__defaults__ = theirs[name].__defaults__
        function.__kwdefaults__ = theirs[name].__kwdefaults__
    for name, value in vars(other).items():
        old = vars(module).get(name)
        if isinstance(value, _PLAIN) and not name.startswith("__") and old != value:
            _everywhere(name, old, value)
    for name, value in vars(other).items():
        if isinstance(value, type) and value.__module__ == module.__name__:
            _class_values(vars(module)[name], value)
    return True


def _class_values(mine: type, theirs: type) -> None:
    """Defaults of dataclass fields are in generated functions as well, which `functions_of` has seen already."""
    for name, value in vars(theirs).items():
        if isinstance(value, _PLAIN) and not name.startswith("__") and vars(mine).get(name) != value:
            setattr(mine, name, value)


def _everywhere(name: str, old: Any, value: Any) -> None:
    for module in list(sys.modules.values()):
        names = getattr(module, "__name__", "")
        if names.startswith(("lineage_", "tests.")) and vars(module).get(name) == old and name in vars(module):
            setattr(module, name, value)


def _found(namespace: dict[str, Any], module: str) -> Iterator[types.FunctionType]:
    for value in list(namespace.values()):
        if isinstance(value, type) and value.__module__ == module:
            yield from _found(dict(vars(value)), module)
            continue
        inner = _unwrapped(value)
        if inner is not None and inner.__module__ == module:
            yield inner


def _unwrapped(value: Any) -> types.FunctionType | None:
    if isinstance(value, property):
        value = value.fget
    elif isinstance(value, functools.cached_property):
        value = value.func
    elif isinstance(value, staticmethod | classmethod):
        value = value.__func__
    try:
        value = inspect.unwrap(value)
    except (ValueError, AttributeError):
        return None
    return value if isinstance(value, types.FunctionType) else None

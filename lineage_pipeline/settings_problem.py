"""What is wrong with settings, in one sentence: where, which value, which key was probably meant. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError

# What should be a number or one of some words is shown, and what looks like a number. Anything else could be a secret
# in the wrong place, and a message never repeats one.
_NUMBER_LIKE: Final = re.compile(r"[-+.]?[0-9][-+.0-9A-Za-z]{0,30}")
_NO_TEXT: Final = frozenset({"int_parsing", "float_parsing", "bool_parsing", "literal_error"})
_MAY_HOLD_SECRETS: Final = frozenset({"kafka", "schema_registry", "aws", "alerts"})
_SHOWN: Final = 40  # characters of a value


def first_problem(
    error: ValidationError,
    model: type[BaseModel],
    *,
    below: str = "",
    hidden: Collection[str] = (),
    beside: Collection[str] = (),
) -> tuple[str, str]:
    """Where the first problem is, with dots, and what it is.

    `below`: the key under which the whole stands; `hidden`: fields that nobody can set; `beside`: keys of the whole
    that are no fields of `model`. An unknown key comes first: it may be the mistyped one that is lacking elsewhere.
    """
    problem = min(error.errors(include_url=False), key=lambda one: one["type"] != "extra_forbidden")
    # pydantic names the branch of a union too, which nobody has written
    location = [part for part in problem["loc"] if isinstance(part, int) or "[" not in part or part == "[key]"]
    where = ".".join(str(part) for part in (below, *location) if part != "")
    if problem["type"] == "extra_forbidden":
        inner = _model_at(model, location[:-1])
        known = [field.alias or name for name, field in inner.model_fields.items()] if inner is not None else []
        known += beside if inner is model else ()
        return where, f"unknown key `{where}`{nearest(str(location[-1]), [one for one in known if one not in hidden])}"
    ours = problem["type"] == "value_error"  # then the sentence says itself which value it is about
    plain = problem["type"] in _NO_TEXT and problem["loc"][0] not in _MAY_HOLD_SECRETS
    shown = "" if ours else _shown(problem["input"], plain=plain)
    return where, f"`{where}`{shown}: {problem['msg'].removeprefix('Value error, ')}"


def nearest(word: str, known: Collection[str]) -> str:
    """The end of a sentence: the known word that was probably meant, or all of them."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f": did you mean `{near[0]}`?" if near else f"; known: {', '.join(known)}" if known else ""


def _shown(value: object, *, plain: bool) -> str:
    """` is VALUE` for a number and what looks like one, and for any text where it is `plain`."""
    if isinstance(value, str):
        cut = value if len(value) <= _SHOWN else f"{value[:_SHOWN]}..."
        return f" is {cut!r}" if plain or _NUMBER_LIKE.fullmatch(value.strip()) else ""
    if value is None:
        return " is empty"
    return f" is {str(value).lower()}" if isinstance(value, (bool, int, float)) else ""


def _model_at(model: type[BaseModel] | None, location: Collection[int | str]) -> type[BaseModel] | None:
    """The model that describes the mapping at the location; None where none does."""
    for part in location:
        if model is None or isinstance(part, int):
            continue
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        model = _model_in(fields[part].annotation) if part in fields else None
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The first model among the parts of a type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for one in get_args(annotation) if (found := _model_in(one)) is not None), None)

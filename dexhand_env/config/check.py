"""Checking layered values against a schema; the first problem becomes one line that a user can act on."""

from __future__ import annotations

from typing import Any, Dict, Literal, Mapping, Optional, Tuple, Type, TypeVar

from pydantic import BaseModel, ValidationError
from typing_extensions import get_args, get_origin

from dexhand_env.config.allowed import ONE_TRUTH, in_words, is_model, keys_of, step_into
from dexhand_env.config.layers import KeyPath, Stack, value_at
from dexhand_env.config.references import resolve
from dexhand_env.config.schema import choices, shown
from dexhand_env.errors import UserError

Model = TypeVar("Model", bound=BaseModel)


def check(model: Type[Model], stack: Stack) -> Model:
    """Merge the stack, resolve its references and validate it.

    Raises:
        UserError: for the first problem; it names the file that the bad value came from.
    """
    return check_values(model, resolve(stack.merged(), stack), stack)


def check_values(model: Type[Model], values: Mapping[str, Any], stack: Stack) -> Model:
    """Validate values that are merged and resolved already; ``stack`` says where they came from."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise translate(error, model, values, stack) from error


def translate(error: ValidationError, model: Type[BaseModel], values: Mapping[str, Any], stack: Stack) -> UserError:
    """The first problem of a validation as a :class:`UserError`."""
    path, found, allowed = first_problem(error, model, values)
    return UserError(stack.where(path), found, allowed)


def first_problem(
    error: ValidationError, model: Type[BaseModel], values: Mapping[str, Any]
) -> Tuple[KeyPath, str, Optional[str]]:
    """The key of the first problem of a validation, what was found there, and what is allowed; unknown keys come first,
    as a misspelt key is also a missing one."""
    problems = error.errors(include_url=False)
    first: Dict[str, Any] = dict(next((p for p in problems if p["type"] == "extra_forbidden"), problems[0]))
    path, annotation, constraints = _walk(model, first["loc"])
    context = first.get("ctx", {})
    if first["type"] == "rule":
        return path + tuple(context["at"]), context["found"], context["allowed"]
    if first["type"] == "extra_forbidden":
        return _unknown_key(annotation, (*path, first["loc"][len(path)]))
    if first["type"] == "missing":
        return path, "missing key", in_words(annotation, constraints)
    value = value_at(values, path)
    words = in_words(annotation, constraints)
    if get_origin(annotation) is Literal and get_args(annotation) not in ONE_TRUTH:
        words = choices([str(choice) for choice in get_args(annotation)], value)
    return path, f"found {shown(value)}", words


def _unknown_key(section: Any, path: KeyPath) -> Tuple[KeyPath, str, Optional[str]]:
    refused = getattr(section, "REFUSED_KEYS", {})
    if path[-1] in refused:
        return path, f"this key is not taken: {refused[path[-1]]}", None
    keys = list(keys_of(section)) if is_model(section) else []
    return path, "unknown key", choices(keys, path[-1])


def _walk(model: Type[BaseModel], location: Tuple[Any, ...]) -> Tuple[KeyPath, Any, Any]:
    """Follow pydantic's location as far as it leads through keys and items; it goes on with the names of union members,
    which no user ever wrote."""
    path: KeyPath = ()
    annotation: Any = model
    constraints: Any = []
    for part in location:
        try:
            annotation, constraints = step_into(annotation, part)
        except (KeyError, IndexError):
            break
        path += (part,)
    return path, annotation, constraints

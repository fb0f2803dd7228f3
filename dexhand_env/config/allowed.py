"""In words, what a key of a schema allows: for error messages and for the tables in the documentation."""

from __future__ import annotations

from typing import Any, Dict, List, Literal, Sequence, Tuple, Type, Union

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typing_extensions import Annotated, get_args, get_origin

_NONE = type(None)
_COMPARISONS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
ONE_TRUTH = ((True,), (False,))  # arguments of a Literal that allows one of the two
_SIMPLE = {bool: "true or false", int: "a whole number", float: "a number", str: "text", _NONE: "null"}

FieldType = Tuple[Any, List[Any]]  # an annotation and the constraints that stand on it


def field_type(info: FieldInfo) -> FieldType:
    """A field's annotation, with the constraints of ``Annotated`` unpacked."""
    return unpack(info.annotation, list(info.metadata))


def unpack(annotation: Any, constraints: Sequence[Any] = ()) -> FieldType:
    """Split ``Annotated[T, ...]`` and ``Optional[T]`` into T and its constraints."""
    found = list(constraints)
    if get_origin(annotation) is Annotated:
        annotation, *extra = get_args(annotation)
        for item in extra:
            found += item.metadata if isinstance(item, FieldInfo) else [item]
        return unpack(annotation, found)
    if get_origin(annotation) is Union:
        others = [arg for arg in get_args(annotation) if arg is not _NONE]
        if len(others) == 1:
            return unpack(others[0], found)
    return annotation, found


def is_model(annotation: Any) -> bool:
    """Whether the annotation is a section of its own."""
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def keys_of(model: Type[BaseModel]) -> Dict[str, FieldInfo]:
    """A section's fields by the keys that they have in YAML: an alias where a field has one."""
    return {info.alias or name: info for name, info in model.model_fields.items()}


def step_into(annotation: Any, part: Union[str, int]) -> FieldType:
    """The type of a section's key or a list's item.

    Raises:
        KeyError: where the type has no such part.
    """
    if is_model(annotation):
        return field_type(keys_of(annotation)[str(part)])
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is dict:
        return unpack(args[1])
    if origin is tuple and isinstance(part, int):
        return unpack(args[0] if len(args) == 2 and args[1] is Ellipsis else args[part])
    raise KeyError(part)


def in_words(annotation: Any, constraints: Sequence[Any]) -> str:
    """What the type allows, e.g. ``a number, at least 0 and below 1``."""
    annotation, constraints = unpack(annotation, constraints)
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Union:
        return " or ".join(in_words(arg, constraints) for arg in args)
    if origin is Literal:
        return str(*args).lower() if args in ONE_TRUTH else "one of: " + ", ".join(str(arg) for arg in args)
    if origin is tuple:
        return _list_in_words(args, constraints)
    if origin is dict:
        return f"a section of names, each {in_words(args[1], ())}"
    if is_model(annotation):
        return "a section with the keys " + ", ".join(keys_of(annotation))
    name = _SIMPLE.get(annotation, "a value")
    limits = _limits(constraints)
    return f"{name} {limits}" if limits else name


def _list_in_words(args: Tuple[Any, ...], constraints: Sequence[Any]) -> str:
    open_ended = len(args) == 2 and args[1] is Ellipsis
    low = next((c.min_length for c in constraints if getattr(c, "min_length", None) is not None), None)
    high = next((c.max_length for c in constraints if getattr(c, "max_length", None) is not None), None)
    if not open_ended:
        low = high = len(args)
    count = f"{low} " if low is not None and low == high else ""
    count = f"{low} or more " if low and not count else count
    return f"a list of {count}items, each {in_words(args[0], ())}"


def _limits(constraints: Sequence[Any]) -> str:
    bounds = {}
    for name in _COMPARISONS:
        for constraint in constraints:
            value = getattr(constraint, name, None)
            if value is not None:
                bounds[name] = f"{value:g}" if isinstance(value, float) else str(value)
    if set(bounds) == {"ge", "le"}:
        return f"from {bounds['ge']} to {bounds['le']}"
    return " and ".join(f"{_COMPARISONS[name]} {bound}" for name, bound in bounds.items())

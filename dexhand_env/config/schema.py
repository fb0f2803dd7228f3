"""What every typed section shares: strict types, no unknown keys, no changes after loading, and plain JSON out."""

from __future__ import annotations

import difflib
from typing import Any, Dict, Iterable, Optional

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic_core import PydanticCustomError

from dexhand_env.config.layers import KeyPath


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


#: Stands on tuple types: lists arrive as lists from YAML and JSON and are kept as tuples, which cannot be changed.
FROM_LIST = BeforeValidator(_as_tuple)


class Section(BaseModel):
    """A section of a configuration file: strict types, unknown keys refused, frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, protected_namespaces=())

    def dump(self) -> Dict[str, Any]:
        """The section as plain JSON types, without absent optional keys; validating it again gives an equal section."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def record(self) -> Dict[str, Any]:
        """The section as plain JSON types, absent optional keys as null, so that it holds over any defaults."""
        return self.model_dump(mode="json", by_alias=True)


#: Seeds are whole numbers from 0 to one less than this.
SEED_LIMIT = 2**31

#: More names than this are not listed in an error, where the nearest one is known.
MANY = 14


def problem(found: str, allowed: str, at: KeyPath = ()) -> PydanticCustomError:
    """The error a validator raises for a rule between keys; ``at`` is the key's path below the validated value."""
    return PydanticCustomError("rule", "{found}; allowed: {allowed}", {"found": found, "allowed": allowed, "at": at})


def nearest(name: object, names: Iterable[str]) -> Optional[str]:
    """The name most like ``name``, or None where nothing is alike."""
    by_lower = {known.lower(): known for known in names}
    close = difflib.get_close_matches(str(name)[:80].lower(), list(by_lower), n=1, cutoff=0.55)
    return by_lower[close[0]] if close else None


def choices(names: Iterable[str], name: object = None) -> str:
    """The names as an error lists them; the one that ``name`` was probably meant to be comes first."""
    known = list(names)
    likely = nearest(name, known) if name is not None else None
    if likely is None:
        return ", ".join(known)
    if len(known) > MANY:
        return f"{likely} (the nearest), or one of the {len(known) - 1} others in docs/configuration.md"
    return ", ".join([f"{likely} (the nearest)", *(other for other in known if other != likely)])


def shown(value: object, limit: int = 60) -> str:
    """A value as errors show it: as JSON would write it, non-printing characters escaped, cut at ``limit``."""
    if isinstance(value, (dict, list, tuple)):
        kind, unit = ("a section", "key") if isinstance(value, dict) else ("a list", "item")
        return f"{kind} of {len(value)} {unit}{'' if len(value) == 1 else 's'}"
    words = {None: "null", True: "true", False: "false"}
    text = words[value] if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"

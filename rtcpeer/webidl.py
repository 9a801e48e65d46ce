"""WebIDL conversions of arguments before a W3C algorithm sees them, with messages for people.

Owns: conversions of dictionaries, sequences, numbers, strings and enumerations. Never: a rule of one interface.

Deviation, for all of them: WebIDL turns nearly anything into a string, number or boolean; here a wrong Python
type is a ``TypeError`` that names the member, and None stands for "absent".
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypeVar

_E = TypeVar("_E", bound=enum.StrEnum)

OCTET = 0xFF
UNSIGNED_SHORT = 0xFFFF
UNSIGNED_LONG = 0xFFFFFFFF
UNSIGNED_LONG_LONG = 0xFFFFFFFFFFFFFFFF


def members(
    name: str, value: Any, keywords: Mapping[str, Any] | None = None, known: Collection[str] = ()
) -> dict[str, Any]:
    """The members of a dictionary argument: a mapping, a dataclass, an object with ``toJSON``, or None.

    Args:
        name: of the dictionary, for messages.
        value: what the caller gave.
        keywords: members given as keywords; they win.
        known: the names that keywords may have. Unknown members of `value` are ignored, as WebIDL has it: another
            version of the specification may have them. A keyword is written by hand, for this library.

    Raises:
        TypeError: `value` is none of these, or a keyword is not `known`; the message has the nearest name.
    """
    if keywords:
        check_keywords(name, keywords, known)
    if value is None:
        found: dict[str, Any] = {}
    elif isinstance(value, Mapping):
        found = dict(value)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        found = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    elif callable(getattr(value, "toJSON", None)):
        found = dict(value.toJSON())
    else:
        raise TypeError(f"{name} must be a mapping or a dataclass, not {kind(value)}")
    if keywords:
        found.update(keywords)
    return found


def present(name: str, value: Any) -> dict[str, Any]:
    """The members of a dictionary argument that are not None.

    Raises:
        TypeError: it is neither a mapping nor a dataclass.
    """
    return {key: item for key, item in members(name, value).items() if item is not None}


def sequence(name: str, value: Any, what: str = "a sequence") -> list[Any]:
    """A WebIDL sequence.

    Args:
        name: of the argument or member, for messages.
        value: what the caller gave.
        what: it must be, for messages.

    Raises:
        TypeError: it cannot be iterated, or is a string, bytes or a mapping.
    """
    if isinstance(value, (str, bytes, bytearray, Mapping)) or not isinstance(value, Iterable):
        raise TypeError(f"{name} must be {what}, not {kind(value)}")
    return list(value)


def double(name: str, value: Any) -> float:
    """A WebIDL double.

    Raises:
        TypeError: it is not a finite number.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise TypeError(f"{name} must be a finite number, not {value!r}")
    return float(value)


def names(dictionary: type[Any]) -> frozenset[str]:
    """The member names of a dictionary that is described by a dataclass."""
    return frozenset(field.name for field in dataclasses.fields(dictionary))


def check_keywords(name: str, keywords: Collection[str], known: Collection[str]) -> None:
    """Refuse keywords that are no members of the dictionary.

    Args:
        name: of the dictionary, for messages.
        keywords: the names given.
        known: the names there are.

    Raises:
        TypeError: one is not known.
    """
    for keyword in keywords:
        if keyword not in known:
            raise TypeError(f"{name} has no member {keyword!r}{nearest(keyword, known)}")


def nearest(word: str, known: Collection[str]) -> str:
    """The end of a message about an unknown word: the word that was meant, or all of them.

    Args:
        word: what was given.
        known: what it could have been.
    """
    import difflib  # which few programs need

    by_lower = {one.lower(): one for one in sorted(known)}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    if found:
        return f"; did you mean {by_lower[found[0]]!r}?"
    return f"; there are {', '.join(sorted(known))}" if known else "; it has none"


def unsigned(name: str, value: Any, limit: int = UNSIGNED_LONG) -> int:
    """``[EnforceRange]`` of an unsigned integer type.

    Raises:
        TypeError: no number, not finite, or outside 0..`limit`.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise TypeError(f"{name} must be an integer in 0..{limit}, not {value!r}")
    number = int(value)
    if not 0 <= number <= limit:
        raise TypeError(f"{name} must be in 0..{limit}, not {value!r}")
    return number


def optional_unsigned(name: str, value: Any, limit: int = UNSIGNED_LONG) -> int | None:
    """`unsigned`, or None for an absent member."""
    return None if value is None else unsigned(name, value, limit)


def string(name: str, value: Any) -> str:
    """A DOMString.

    Raises:
        TypeError: it is no string.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, not {kind(value)}")
    return str(value)


def optional_string(name: str, value: Any) -> str | None:
    """`string`, or None for an absent member."""
    return None if value is None else string(name, value)


def usv_string(name: str, value: Any) -> str:
    """A USVString: lone surrogates become U+FFFD.

    Raises:
        TypeError: it is no string.
    """
    text = string(name, value)
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def enumeration(name: str, value: Any, choices: type[_E]) -> _E:
    """A member of an enumeration.

    Raises:
        TypeError: it is none of the allowed values; the message names them.
    """
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, str):
        try:
            return choices(value)
        except ValueError:
            pass
    allowed = ", ".join(repr(member.value) for member in choices)
    raise TypeError(f"{name} must be one of {allowed}, not {value!r}")


def required(name: str, given: Mapping[str, Any], member: str) -> Any:
    """A required member that is not nullable.

    Raises:
        TypeError: it is absent.
    """
    value = given.get(member)
    if value is None:
        raise TypeError(f"{name}: the member {member!r} is required")
    return value


def kind(value: Any) -> str:
    """The type of a value, for messages."""
    return "None" if value is None else type(value).__name__

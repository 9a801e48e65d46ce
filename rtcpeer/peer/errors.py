"""The exceptions as users of the face see them: rtcpeer's own, kin of aiortc's where aiortc has the name.

`InvalidStateError` here derives from `rtcpeer.errors.InvalidStateError` and, in programs that import aiortc, from its
class of that name, and so do the others that aiortc knows. aiortc takes longer to import than all of rtcpeer, so it is
not imported for that: the kinship is there from the first exception on that could meet such an ``except``. The floors
below raise `rtcpeer.errors` and know nothing of aiortc; `w3c_errors` stands at the border and makes their exceptions
members of the classes here, without a copy: arguments, attributes, cause and traceback stay.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from rtcpeer import errors, webidl
from rtcpeer.errors import (
    AbortError,
    Fault,
    InvalidModificationError,
    NetworkError,
    NotSupportedError,
    RtcPeerError,
    RTCRangeError,
    RTCSyntaxError,
    RTCTimeoutError,
)
from rtcpeer.media.exceptions import upstream

__all__ = [
    "AbortError",
    "InvalidAccessError",
    "InvalidCharacterError",
    "InvalidModificationError",
    "InvalidStateError",
    "NetworkError",
    "NotSupportedError",
    "OperationError",
    "RTCError",
    "RTCRangeError",
    "RTCSyntaxError",
    "RTCTimeoutError",
    "RtcPeerError",
    "w3c_errors",
]

_F = TypeVar("_F", bound=Callable[..., Any])

# webrtc-pc 11.1.3 (RTCErrorDetailType)
ERROR_DETAILS = frozenset(
    {
        "data-channel-failure",
        "dtls-failure",
        "fingerprint-failure",
        "sctp-failure",
        "sdp-syntax-error",
        "hardware-encoder-not-available",
        "hardware-encoder-error",
    }
)


class _Kin(RtcPeerError):
    """Base of those errors that aiortc has a class for, too."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Make one that is caught as aiortc's."""
        _join_aiortc()
        return super().__new__(cls, *args, **kwargs)


class InvalidStateError(_Kin, errors.InvalidStateError):
    """The object is in a state in which the call is not allowed."""


class InvalidAccessError(_Kin, errors.InvalidAccessError):
    """The object does not support the operation or argument."""


class OperationError(_Kin, errors.OperationError):
    """The operation failed for an operation-specific reason."""


def _join_aiortc() -> None:
    """Make aiortc's classes bases of ours of the same names, once aiortc has been imported."""
    for kin in _Kin.__subclasses__():
        base = upstream(kin.__name__)
        if base is not None and base not in kin.__bases__:
            kin.__bases__ = (*kin.__bases__, base)


_join_aiortc()


class InvalidCharacterError(RtcPeerError):
    """A string holds a character that is not allowed there (`RTCDTMFSender.insertDTMF`)."""

    name = "InvalidCharacterError"


class RTCError(errors.RTCError):
    """W3C ``RTCError`` with its W3C constructor (webrtc-pc 11.1).

    Args:
        init: a mapping with errorDetail (required), sdpLineNumber, sctpCauseCode, receivedAlert, sentAlert.
        message: for people.
        fault: whose doing it was.

    Raises:
        TypeError: errorDetail is missing or unknown, or a number is none.
    """

    # DOMException.code: this name has no legacy code
    code = 0

    def __init__(
        self, init: Mapping[str, Any] | None = None, message: str = "", *, fault: Fault = "remote"
    ) -> None:
        given = webidl.members("RTCErrorInit", init)
        detail = webidl.required("RTCErrorInit", given, "errorDetail")
        if detail not in ERROR_DETAILS:
            allowed = ", ".join(repr(value) for value in sorted(ERROR_DETAILS))
            raise TypeError(f"errorDetail must be one of {allowed}, not {detail!r}")
        numbers = {}
        for member in ("sdpLineNumber", "sctpCauseCode", "receivedAlert", "sentAlert"):
            number = given.get(member)
            if number is not None and (isinstance(number, bool) or not isinstance(number, (int, float))):
                raise TypeError(f"{member} must be an integer, not {number!r}")
            numbers[member] = None if number is None else int(number)
        super().__init__(str(detail), webidl.string("message", message), fault=fault, **numbers)


# The class of the face for each class below it. Those without an entry are the same on both sides.
_FACE: dict[type[BaseException], type[RtcPeerError]] = {
    errors.InvalidStateError: InvalidStateError,
    errors.InvalidAccessError: InvalidAccessError,
    errors.OperationError: OperationError,
    errors.RTCError: RTCError,
}


def to_face(error: BaseException) -> BaseException:
    """An exception object, made one of the face's class.

    Changing the class of the object (not making another one) keeps its arguments, attributes, cause, notes
    and traceback, and costs one assignment; both classes have the layout of ``Exception``.
    """
    face = _FACE.get(type(error))
    if face is not None:
        _join_aiortc()
        error.__class__ = face
    return error


class _Border:
    """`w3c_errors`: a context manager and a decorator without state."""

    __slots__ = ()

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            to_face(error)

    def __call__(self, function: _F) -> _F:
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def guarded_async(*args: Any, **kwargs: Any) -> Any:
                try:
                    return await function(*args, **kwargs)
                except errors.RtcPeerError as error:
                    to_face(error)
                    raise

            return cast("_F", guarded_async)

        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except errors.RtcPeerError as error:
                to_face(error)
                raise

        return cast("_F", guarded)


w3c_errors = _Border()
"""``with w3c_errors:`` or ``@w3c_errors`` (plain and ``async def``): errors leave as the face's classes."""

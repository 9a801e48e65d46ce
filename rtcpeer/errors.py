"""Every exception that rtcpeer raises on purpose, in one tree.

    RtcPeerError                    .name (the W3C name), .fault ("caller", "remote" or "network")
      InvalidStateError             the call does not fit the state the connection is in
      InvalidAccessError            an argument is not allowed here
      InvalidModificationError      a change that the specification forbids
      NotSupportedError             understood, not offered
      OperationError                the operation failed for a reason of its own
      RTCSyntaxError                W3C "SyntaxError"; also a ValueError
      RTCRangeError                 W3C "RangeError"; also a ValueError
      OverconstrainedError          mediacapture-streams: a track cannot be made to fit; .constraint names the member
      NetworkError, RTCTimeoutError, AbortError
        SignalingRefused            a NetworkError: the signaling service said no; .status, .retry_after, .fatal
      RTCError                      W3C RTCError: errorDetail and its numbers

W3C's TypeError is Python's own ``TypeError``.

``rtcpeer.peer`` exports, under the same names, subclasses that derive from aiortc's exceptions too, so
that ``except aiortc.InvalidStateError`` keeps working; this module itself knows nothing of aiortc.
Messages name the offending value and what to do; they never contain a credential.
"""

from __future__ import annotations

from typing import ClassVar, Literal

Fault = Literal["caller", "remote", "network"]


class RtcPeerError(Exception):
    """Base of everything rtcpeer raises on purpose.

    Attributes:
        name: the DOMException name a browser would give.
        fault: whose doing it was: the caller's, the remote side's or the network's.
    """

    name: ClassVar[str] = "OperationError"

    def __init__(self, message: str = "", *, fault: Fault = "caller") -> None:
        super().__init__(message)
        self.fault: Fault = fault

    @property
    def message(self) -> str:
        """The text of the error, as ``DOMException.message``."""
        return str(self)


class InvalidStateError(RtcPeerError):
    """The object is in a state in which the call is not allowed."""

    name = "InvalidStateError"


class InvalidAccessError(RtcPeerError):
    """The object does not support the operation or argument."""

    name = "InvalidAccessError"


class InvalidModificationError(RtcPeerError):
    """The object can not be modified in this way."""

    name = "InvalidModificationError"


class NotSupportedError(RtcPeerError):
    """The operation is not supported."""

    name = "NotSupportedError"


class OperationError(RtcPeerError):
    """The operation failed for an operation-specific reason."""

    name = "OperationError"


class RTCSyntaxError(RtcPeerError, ValueError):
    """A string did not match the expected pattern (W3C name ``SyntaxError``)."""

    name = "SyntaxError"


class RTCRangeError(RtcPeerError, ValueError):
    """A number is outside its allowed range (W3C name ``RangeError``)."""

    name = "RangeError"


class NetworkError(RtcPeerError):
    """A network error occurred."""

    name = "NetworkError"


class SignalingRefused(NetworkError):
    """The signaling service has refused a message, a session or a member.

    A channel raises it from `send`; handlers of `WhipServer` and `WhepServer` raise it to refuse a client.

    Args:
        reason: what the service says, for people; never a credential.
        status: an HTTP status or a close code of a WebSocket, if there is one.
        retry_after: seconds after which another attempt is welcome, if the service says so.
        fatal: whether another attempt is pointless; by default for 400 to 499 without `retry_after`, but for
            408, 409, 425 and 429, which pass with time.
    """

    name = "NetworkError"

    def __init__(
        self,
        reason: str = "",
        *,
        status: int | None = None,
        retry_after: float | None = None,
        fatal: bool | None = None,
        fault: Fault = "remote",
    ) -> None:
        if fatal is None:
            passing = retry_after is not None or status in (408, 409, 425, 429)
            fatal = status is not None and 400 <= status < 500 and not passing
        said = f"the signaling service refuses{'' if status is None else f' ({status})'}"
        when = "" if retry_after is None else f"; it may be tried again in {retry_after:g} s"
        super().__init__(f"{said}: {reason or 'no reason given'}{when}", fault=fault)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after
        self.fatal = fatal


class RTCTimeoutError(RtcPeerError, TimeoutError):
    """The operation took too long (W3C name ``TimeoutError``).

    Attributes:
        findings: what `RTCPeerConnection.explain()` said of the connection at that time; () where there is none.
    """

    name = "TimeoutError"
    findings: tuple[object, ...] = ()


class AbortError(RtcPeerError):
    """The operation was aborted."""

    name = "AbortError"


class OverconstrainedError(RtcPeerError):
    """A constraint cannot be satisfied (mediacapture-streams 10).

    Attributes:
        constraint: the name of the constraint.
    """

    name = "OverconstrainedError"

    def __init__(self, constraint: str, message: str = "") -> None:
        super().__init__(message or f"the constraint {constraint!r} cannot be satisfied")
        self.constraint = constraint


class RTCError(RtcPeerError):
    """W3C ``RTCError`` (webrtc-pc 11.1).

    Args:
        errorDetail: what went wrong, an RTCErrorDetailType such as ``"sdp-syntax-error"``.
        message: for people.
        sdpLineNumber: line of the error, from 1, when errorDetail is ``"sdp-syntax-error"``.
        sctpCauseCode: the SCTP cause, when errorDetail is ``"sctp-failure"``.
        receivedAlert: the DTLS alert received, when errorDetail is ``"dtls-failure"``.
        sentAlert: the DTLS alert sent, when errorDetail is ``"dtls-failure"``.
        httpRequestStatusCode: reserved by W3C.
    """

    name = "OperationError"

    def __init__(
        self,
        errorDetail: str,
        message: str = "",
        *,
        sdpLineNumber: int | None = None,
        sctpCauseCode: int | None = None,
        receivedAlert: int | None = None,
        sentAlert: int | None = None,
        httpRequestStatusCode: int | None = None,
        fault: Fault = "remote",
    ) -> None:
        super().__init__(message, fault=fault)
        self.errorDetail = errorDetail
        self.sdpLineNumber = sdpLineNumber
        self.sctpCauseCode = sctpCauseCode
        self.receivedAlert = receivedAlert
        self.sentAlert = sentAlert
        self.httpRequestStatusCode = httpRequestStatusCode

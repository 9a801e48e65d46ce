"""HTTP statuses of WHIP and WHEP: what a client makes of each, and problem details (RFC 9457). Pure.

Owns: the table. Never: I/O.

    status                       of a POST                                   of a PATCH with candidates    of a restart
    ---------------------------  ------------------------------------------  ----------------------------  ------------
    200, 201                     the answer                                  fine                          the answer
    204                          refused: no answer                          fine                          refused
    307, 308 (301, 302)          once more, to the other URL                 once more                     once more
    401, 403                     refused for good                            no candidates from now on     for good
    406 with SDP, WHEP           a counter-offer                             -                             -
    408, 425, 429, 500, 502-504  refused until Retry-After, or a moment      no candidates from now on     refused
    409                          nobody publishes yet: until Retry-After     no candidates from now on     refused
    412                          refused for good                            ignored: an older generation  "*" once more
    other 4xx, 501               refused for good                            no candidates from now on     refused
"""

from __future__ import annotations

import json
from typing import Any, Final

from rtcpeer.errors import SignalingRefused
from rtcpeer.signaling.http.headers import read_retry_after_untrusted

PROBLEM_TYPE: Final = "application/problem+json"

REDIRECTS: Final = frozenset({301, 302, 307, 308})
#: Seconds to wait where a status passes and the answer names no time.
_WAITS: Final = {408: 1.0, 409: 2.0, 425: 1.0, 429: 5.0, 500: 2.0, 502: 2.0, 503: 2.0, 504: 2.0}
_LENGTH = 300

TITLES: Final = {
    400: "Bad request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "No such session",
    405: "Method not allowed",
    406: "Not acceptable",
    408: "The request took too long",
    409: "Conflict",
    412: "The session has another ETag",
    413: "The body is too large",
    415: "Unsupported media type",
    422: "The offer cannot be accepted",
    428: "If-Match is missing",
    429: "Too many requests",
    500: "Internal error",
    503: "Not available at present",
    504: "No answer in time",
}


def refusal(
    status: int, *, retry_after: str | None, content_type: str, body: str, restart: bool = False
) -> SignalingRefused:
    """The exception that a status means.

    Args:
        status: not one that went well.
        retry_after: the field of that name.
        content_type: of the body.
        body: shown in the message where it is problem details or short plain text.
        restart: whether it answers a restart: then it is final for that restart, and fatal only if the client may not
            be there at all (401, 403).
    """
    wait = read_retry_after_untrusted(retry_after)
    if wait is None:
        wait = _WAITS.get(status)
    elif status not in _WAITS and status < 500:
        wait = None  # a time beside a refusal for good means nothing
    reason = reason_untrusted(status, content_type, body)
    if restart:
        passing = wait if status in (429, 503) else None
        return SignalingRefused(reason, status=status, retry_after=passing, fatal=status in (401, 403))
    if status in (501, 505) or not 400 <= status < 600:
        return SignalingRefused(reason, status=status, fatal=True)
    return SignalingRefused(reason, status=status, retry_after=wait, fatal=None if wait is None else False)


def reason_untrusted(status: int, content_type: str, body: str) -> str:
    """The reason for a status that the body gives, as one printable line; never HTML."""
    kind = content_type.partition(";")[0].strip().lower()
    said: Any = ""
    if kind == PROBLEM_TYPE or kind == "application/json":
        try:
            problem = json.loads(body)
        except (ValueError, RecursionError):
            problem = None
        if isinstance(problem, dict):
            words = [problem.get(name) for name in ("title", "detail", "message", "error")]
            said = ": ".join(word for word in words if isinstance(word, str))
    elif kind == "text/plain":
        said = body
    line = "".join(c if c.isprintable() else " " for c in said[:_LENGTH]).strip()
    return line or TITLES.get(status, f"status {status}")


def problem(status: int, detail: str = "") -> str:
    """Problem details for a status, as JSON."""
    members: dict[str, Any] = {"type": "about:blank", "title": TITLES.get(status, "Error"), "status": status}
    if detail:
        members["detail"] = "".join(c if c.isprintable() else " " for c in detail[:_LENGTH])
    return json.dumps(members)

import json

import pytest

from rtcpeer.signaling.http.statuses import PROBLEM_TYPE, problem, reason_untrusted, refusal


def refuse(
    status: int, retry_after: str | None = None, *, restart: bool = False
) -> tuple[bool, float | None]:
    error = refusal(status, retry_after=retry_after, content_type="", body="", restart=restart)
    assert error.status == status
    return error.fatal, error.retry_after


# one row per status of the table: of a POST (fatal, seconds), and of a restart
ROWS = {
    204: ((True, None), (False, None)),
    400: ((True, None), (False, None)),
    401: ((True, None), (True, None)),
    403: ((True, None), (True, None)),
    404: ((True, None), (False, None)),
    405: ((True, None), (False, None)),
    406: ((True, None), (False, None)),
    408: ((False, 1.0), (False, None)),
    409: ((False, 2.0), (False, None)),
    412: ((True, None), (False, None)),
    413: ((True, None), (False, None)),
    415: ((True, None), (False, None)),
    422: ((True, None), (False, None)),
    425: ((False, 1.0), (False, None)),
    429: ((False, 5.0), (False, 5.0)),
    500: ((False, 2.0), (False, None)),
    501: ((True, None), (False, None)),
    502: ((False, 2.0), (False, None)),
    503: ((False, 2.0), (False, 2.0)),
    504: ((False, 2.0), (False, None)),
}


@pytest.mark.parametrize("status", ROWS)
def test_the_table(status: int) -> None:
    post, restart = ROWS[status]
    assert refuse(status) == post
    assert refuse(status, restart=True) == restart


def test_retry_after_is_obeyed_where_waiting_helps() -> None:
    assert refuse(503, "17") == (False, 17.0)
    assert refuse(429, "0") == (False, 0.0)
    assert refuse(409, "9") == (False, 9.0)
    assert refuse(401, "17") == (True, None)
    assert refuse(503, "17", restart=True) == (False, 17.0)
    # a server that fails in a way of its own, and says when to come again; what it does not do it will never do
    assert refuse(507, "9") == (False, 9.0)
    assert refuse(599, "9") == (False, 9.0)
    assert refuse(507) == (False, None)
    assert refuse(505, "9") == (True, None)
    assert refuse(600, "9") == (True, None)
    assert refuse(304, "9") == (True, None)


@pytest.mark.parametrize(
    ("kind", "body", "reason"),
    [
        (
            PROBLEM_TYPE,
            problem(422, "no codec in common"),
            "The offer cannot be accepted: no codec in common",
        ),
        ("application/json", '{"error": "no such room"}', "no such room"),
        ("text/plain; charset=utf-8", "quota\x1b[31m exceeded\n", "quota [31m exceeded"),
        ("text/html", "<script>", "The offer cannot be accepted"),
        (PROBLEM_TYPE, "[" * 100_000, "The offer cannot be accepted"),
        (PROBLEM_TYPE, '{"title": 7, "detail": ["x"]}', "The offer cannot be accepted"),
        ("text/plain", "x" * 10_000, "x" * 300),
    ],
)
def test_what_the_body_says(kind: str, body: str, reason: str) -> None:
    assert reason_untrusted(422, kind, body) == reason


def test_problem_details() -> None:
    assert json.loads(problem(404)) == {"type": "about:blank", "title": "No such session", "status": 404}
    assert json.loads(problem(400, "bad\nline"))["detail"] == "bad line"

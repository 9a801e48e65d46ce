"""Requests to a LiveKit server: answered, refused, too late, and abandoned with the session."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rtcpeer.calls.livekit.requests import Requests
from rtcpeer.errors import NetworkError, RTCTimeoutError, SignalingRefused
from rtcpeer.testing.clock import run_virtual


async def nothing() -> None:
    pass


async def asked(act: Any) -> Any:
    """The outcome of a request, to which `act` happens while it waits."""
    requests = Requests()
    waiting = asyncio.ensure_future(requests.ask("a", nothing(), "a track"))
    await asyncio.sleep(0)
    act(requests)
    try:
        return await waiting
    finally:
        requests.answer("a", "late")  # nobody waits any more
        requests.refuse("a", ValueError("late"))


def test_an_answer():
    assert run_virtual(asked(lambda requests: requests.answer("a", 7))) == 7


def test_the_first_answer_counts():
    def act(requests: Requests) -> None:
        requests.answer("a", 1)
        requests.answer("a", 2)
        requests.refuse("a", ValueError("no"))

    assert run_virtual(asked(act)) == 1


def test_a_refusal():
    with pytest.raises(SignalingRefused, match="no place"):
        run_virtual(asked(lambda requests: requests.refuse("a", SignalingRefused("no place"))))


def test_answers_of_other_requests_are_none():
    with pytest.raises(RTCTimeoutError, match="a track: no answer in 10 s"):
        run_virtual(asked(lambda requests: requests.answer("b", 7)))


def test_a_session_that_ends_meanwhile():
    with pytest.raises(NetworkError, match="a track: the session has ended meanwhile"):
        run_virtual(asked(lambda requests: requests.abandon()))


def test_who_asked_is_cancelled():
    async def main() -> None:
        requests = Requests()
        waiting = asyncio.ensure_future(requests.ask(1, nothing(), "metadata"))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        requests.answer(1, None)

    run_virtual(main())


def test_a_request_that_cannot_be_sent_waits_for_nothing():
    async def fails() -> None:
        raise NetworkError("no socket")

    async def main() -> None:
        requests = Requests()
        with pytest.raises(NetworkError, match="no socket"):
            await requests.ask(1, fails(), "metadata")
        again = asyncio.ensure_future(requests.ask(1, nothing(), "metadata"))
        await asyncio.sleep(0)
        requests.answer(1, "there")
        assert await again == "there"

    run_virtual(main())

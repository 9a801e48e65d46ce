"""Fixtures for the tests of Janus: nothing is left over; shorter pauses."""

import pytest

from rtcpeer.testing import no_leaks


@pytest.fixture(autouse=True)
async def nothing_is_left():
    async with no_leaks(grace=3):
        yield


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr("rtcpeer.calls.janus.videoroom._RETRY", 0.02)
    monkeypatch.setattr("rtcpeer.calls.janus.subscriber._RETRIES", (0.02,))
    monkeypatch.setattr("rtcpeer.calls.janus.subscriber._CHECK_TIME", 0.1)
    monkeypatch.setattr("rtcpeer.calls.janus.subscriptions.PAUSES", (0.02,))

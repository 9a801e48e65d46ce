"""Messages on their way to a channel: in order, batched, tried again, given up."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rtcpeer.errors import SignalingRefused
from rtcpeer.signaling.outbox import RETRIES, Outbox

OFFER = {"type": "offer", "sdp": "v=0"}
ANSWER = {"type": "answer", "sdp": "v=0"}


class Channel:
    """Notes what it was given and when, and fails as often as it is told."""

    def __init__(self, *failures: Exception) -> None:
        self.sent: list[tuple[float, Any]] = []
        self.failures = list(failures)

    async def send(self, message: Any) -> None:
        self.sent.append((asyncio.get_running_loop().time(), message))
        if self.failures:
            raise self.failures.pop(0)


class Batching(Channel):
    async def send_candidates(self, messages: list[Any]) -> None:
        self.sent.append((asyncio.get_running_loop().time(), list(messages)))


async def sent_by(channel: Channel, *messages: dict[str, Any], seconds: float = 30.0):
    failed: list[Exception] = []
    refused: list[SignalingRefused] = []
    outbox = Outbox(channel, failed=lambda _message, error: failed.append(error), refused=refused.append)
    for message in messages:
        outbox.put(message)
    start = asyncio.get_running_loop().time()
    running = asyncio.create_task(outbox.run())
    await asyncio.sleep(seconds)
    running.cancel()
    outbox.close()
    outbox.put(OFFER)
    return [(round(at - start, 2), message) for at, message in channel.sent], failed, refused


def candidate(number: int) -> dict[str, Any]:
    return {"candidate": f"candidate:{number}", "sdpMid": "0"}


async def test_an_offer_supersedes_what_waits_but_for_answers(virtual_time):
    sent, _, _ = await sent_by(Channel(), candidate(1), OFFER, ANSWER, candidate(2), {**OFFER, "sdp": "new"})
    assert [message for _, message in sent] == [ANSWER, {**OFFER, "sdp": "new"}]


async def test_an_offer_is_there_until_it_has_left_or_is_given_up(virtual_time):
    channel = Channel(OSError("no"))
    outbox = Outbox(channel, failed=lambda *_: None, refused=lambda _: None)
    running = asyncio.create_task(outbox.run())
    outbox.put(candidate(1))
    assert not outbox.has_offer
    outbox.put(OFFER)
    await asyncio.sleep(0.1)
    assert outbox.has_offer
    await asyncio.sleep(0.2)
    assert not outbox.has_offer
    running.cancel()


async def test_candidates_go_together_where_the_channel_takes_them_so(virtual_time):
    sent, _, _ = await sent_by(Batching(), candidate(1), candidate(2), ANSWER, candidate(3))
    assert sent == [(0.02, [candidate(1), candidate(2)]), (0.02, ANSWER), (0.04, [candidate(3)])]


async def test_a_failure_is_tried_again_ever_more_slowly_and_then_given_up(virtual_time):
    errors = [OSError(str(number)) for number in range(len(RETRIES) + 1)]
    sent, failed, _ = await sent_by(Channel(*errors), OFFER, ANSWER)
    assert [at for at, _ in sent] == [0.0, 0.2, 0.7, 1.7, 3.7, 7.7, 7.7]
    assert failed == [errors[-1]]
    assert sent[-1][1] == ANSWER, "those behind it are sent"


@pytest.mark.parametrize(
    ("refusal", "attempts"),
    [
        (SignalingRefused("no", fatal=False, retry_after=3.0), [0.0, 3.0]),
        (SignalingRefused("no", fatal=False), [0.0]),
        (SignalingRefused("never", fatal=True), [0.0]),
    ],
)
async def test_a_refusal_is_tried_again_at_the_time_that_it_names(virtual_time, refusal, attempts):
    sent, failed, refused = await sent_by(Channel(refusal), OFFER)
    assert [at for at, _ in sent] == attempts
    assert (len(failed), len(refused)) == (int(len(attempts) == 1), int(len(attempts) == 2))

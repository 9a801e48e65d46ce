"""A negotiator obeys what its channel cannot do, and silence is loud."""

import asyncio
import itertools
import logging
from typing import Any

import pytest

from rtcpeer.errors import NetworkError, NotSupportedError, SignalingRefused
from rtcpeer.media.event_target import fire
from rtcpeer.signaling import ChannelCapabilities, Negotiator, capabilities_of
from rtcpeer.signaling.capabilities import DEFAULT_CAPABILITIES, politeness
from rtcpeer.signaling.notices import Notices
from tests.unit.config.virtual import virtual
from tests.unit.signaling.fakes import Candidate, CandidateEvent, FakePC, World
from tests.unit.signaling.service import ONE_EXCHANGE, Batching, Service


async def start(service: Service, **options: Any) -> tuple[FakePC, Negotiator, list[Exception]]:
    errors: list[Exception] = []
    pc = FakePC(World())
    negotiator = Negotiator(pc, service, polite=True, on_error=errors.append, **options)
    negotiator.start()
    return pc, negotiator, errors


async def answer(pc: FakePC, service: Service) -> None:
    """The other side answers the offer."""
    other = FakePC(pc.world)
    await other.setRemoteDescription(pc.localDescription.toJSON())
    await other.setLocalDescription()
    service.arrived.put_nowait(other.localDescription.toJSON())
    await asyncio.sleep(0.1)
    other.close()


def test_channels_without_capabilities_have_the_defaults() -> None:
    assert capabilities_of(object()) is DEFAULT_CAPABILITIES
    assert capabilities_of(Service(ONE_EXCHANGE)) is ONE_EXCHANGE
    with pytest.raises(TypeError, match="ChannelCapabilities, not dict"):
        capabilities_of(Service({"reliable": True}))  # type: ignore[arg-type]


def test_who_is_polite() -> None:
    assert politeness(Service(), True) is True
    assert politeness(Service(ChannelCapabilities(polite=False)), None) is False
    assert politeness(Service(ChannelCapabilities(offers="local")), None) is False
    assert politeness(Service(ChannelCapabilities(offers="remote")), None) is True
    with pytest.raises(TypeError, match="say polite=True"):
        politeness(Service(), None)


@pytest.mark.parametrize(
    ("status", "retry_after", "fatal"),
    [
        *((status, None, True) for status in (400, 401, 403, 404, 405, 422)),
        *((status, None, False) for status in (408, 409, 425, 429, 500, 503, None)),
        (401, 3.0, False),
    ],
)
def test_what_is_fatal(status: int | None, retry_after: float | None, fatal: bool) -> None:
    error = SignalingRefused("no", status=status, retry_after=retry_after)
    assert isinstance(error, NetworkError)
    assert (error.status, error.reason, error.retry_after, error.fatal) == (status, "no", retry_after, fatal)
    assert error.fault == "remote"
    assert "no" in str(error)


@virtual
async def test_a_fatal_refusal_is_told_at_once_after_one_send() -> None:
    service = Service(ONE_EXCHANGE, failures=[SignalingRefused("bad token", status=401)] * 9)
    pc, negotiator, errors = await start(service, resend_after=1.0)
    pc.createDataChannel("x")
    await asyncio.sleep(0.05)
    assert [error.status for error in errors] == [401]  # type: ignore[attr-defined]
    await asyncio.sleep(60)
    assert service.kinds() == ["offer"]
    await negotiator.close()
    pc.close()


@virtual
async def test_a_reliable_channel_gets_an_offer_once_however_slow_the_answer() -> None:
    service = Service(ONE_EXCHANGE)
    service.slow = 8.0
    pc, negotiator, errors = await start(service, resend_after=1.0)
    pc.createDataChannel("x")
    await asyncio.sleep(60)
    assert service.kinds().count("offer") == 1
    assert len(service.sent) == 3  # and the two candidates
    assert not errors
    await negotiator.close()
    pc.close()


@virtual
async def test_an_unreliable_channel_gets_it_again() -> None:
    service = Service()
    pc, negotiator, _ = await start(service, resend_after=1.0)
    pc.createDataChannel("x")
    await asyncio.sleep(10)
    assert service.kinds().count("offer") > 3
    await negotiator.close()
    pc.close()


@virtual
async def test_retry_after_is_obeyed() -> None:
    busy = SignalingRefused("busy", status=503, retry_after=7.0)
    service = Service(ONE_EXCHANGE, failures=[busy, busy])
    pc, negotiator, errors = await start(service)
    pc.createDataChannel("x")
    await asyncio.sleep(20)
    times = [when for when, message in service.sent if message.get("type") == "offer"]
    assert [round(b - a, 3) for a, b in itertools.pairwise(times)] == [7.0, 7.0]
    assert errors == [busy, busy]
    assert negotiator.notices.counts == {"refused for now": 2}
    await negotiator.close()
    pc.close()


@virtual
async def test_a_reliable_channel_that_fails_for_long_gets_the_offer_in_the_end() -> None:
    service = Service(ONE_EXCHANGE, failures=[NetworkError("down")] * 12)
    pc, negotiator, _ = await start(service)
    pc.createDataChannel("x")
    await asyncio.sleep(60)
    assert service.kinds().count("offer") == 13
    await negotiator.close()
    pc.close()


@virtual
async def test_candidates_of_20_ms_go_out_together() -> None:
    service = Batching(ONE_EXCHANGE)
    pc, negotiator, _ = await start(service)
    pc.createDataChannel("x")
    await asyncio.sleep(0.1)
    assert [len(batch) for batch in service.batches] == [2]
    for _ in range(10):
        fire(pc, CandidateEvent(Candidate({"candidate": "candidate:9", "sdpMid": "0"})))
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.1)
    assert [len(batch) for batch in service.batches] == [2, 10]
    assert service.kinds() == ["offer"]
    await negotiator.close()
    pc.close()


@pytest.mark.parametrize("trickle", [False, "auto"])
@virtual
async def test_where_candidates_may_not_follow_the_offer_waits_for_them(trickle: Any) -> None:
    service = Service(ChannelCapabilities(reliable=True, trickle=trickle, gathering_time=5.0))
    pc, negotiator, _ = await start(service)
    pc.createDataChannel("x")
    await asyncio.sleep(1)
    assert service.kinds()[0] == "offer"
    assert "a=candidate" in service.sent[0][1]["sdp"]
    # of the candidates that came meanwhile only the end, which no description has, may follow
    late = [message["candidate"] for _, message in service.sent[1:]]
    assert late == ([] if trickle is False else [""])
    fire(pc, CandidateEvent(Candidate({"candidate": "candidate:9", "sdpMid": "0"})))
    await asyncio.sleep(1)
    assert len(service.sent) == (1 if trickle is False else 3)
    await negotiator.close()
    pc.close()


@virtual
async def test_gathering_that_never_ends_delays_the_offer_only_so_long() -> None:
    service = Service(ChannelCapabilities(reliable=True, trickle=False, gathering_time=0.5))
    pc, negotiator, _ = await start(service)
    pc.gather = lambda: None  # type: ignore[method-assign]
    pc.createDataChannel("x")
    await asyncio.sleep(0.4)
    assert service.sent == []
    await asyncio.sleep(0.3)
    assert service.kinds() == ["offer"]
    await negotiator.close()
    pc.close()


@virtual
async def test_where_the_other_side_offers_none_is_made() -> None:
    service = Service(ChannelCapabilities(offers="remote"))
    pc, negotiator, errors = await start(service)
    pc.createDataChannel("x")
    await negotiator.negotiate()
    await asyncio.sleep(5)
    assert service.sent == []
    other = FakePC(pc.world)
    await other.setLocalDescription()
    service.arrived.put_nowait(other.localDescription.toJSON())  # type: ignore[union-attr]
    await asyncio.sleep(1)
    assert service.kinds()[0] == "answer"
    assert not errors
    await negotiator.close()
    pc.close()
    other.close()


@virtual
async def test_after_the_one_exchange_only_a_restart_passes() -> None:
    service = Service(ONE_EXCHANGE)
    pc, negotiator, errors = await start(service)
    negotiator.check_change("addTrack()")  # nothing was sent yet
    pc.createDataChannel("x")
    await asyncio.sleep(0.1)
    with pytest.raises(NotSupportedError, match=r"addTrack\(\): Service carries one offer"):
        negotiator.check_change("addTrack()")
    await answer(pc, service)
    assert pc.signalingState == "stable"
    pc.need()  # something else has changed
    await asyncio.sleep(1)
    assert service.kinds().count("offer") == 1
    assert [type(error) for error in errors] == [NotSupportedError]
    pc.restartIce()
    await asyncio.sleep(1)
    assert service.kinds().count("offer") == 2
    await negotiator.close()
    pc.close()


@virtual
async def test_a_refused_restart_leaves_the_session_as_it_was() -> None:
    refused = SignalingRefused("no restarts here", status=405, fatal=False)
    service = Service(ONE_EXCHANGE, failures=[None, None, None, refused])
    pc, negotiator, errors = await start(service)
    pc.createDataChannel("x")
    await asyncio.sleep(0.2)
    await answer(pc, service)
    pc.restartIce()
    await asyncio.sleep(5)
    assert errors[0] is refused
    assert pc.signalingState == "stable"
    assert service.kinds().count("offer") == 2  # the connection still wants it, but it is not tried for ever
    await negotiator.close()
    pc.close()


@virtual
async def test_bad_messages_are_counted_and_logged_once_per_kind(caplog: pytest.LogCaptureFixture) -> None:
    service = Service()
    pc, negotiator, _errors = await start(service)
    with caplog.at_level(logging.WARNING, "rtcpeer.signaling"):
        for _ in range(3):
            service.arrived.put_nowait("rubbish")
            service.arrived.put_nowait({"type": "answer", "sdp": "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\n"})
        await asyncio.sleep(1)
    assert negotiator.notices.counts == {"unreadable": 3, "unexpected answer": 3}
    assert len(caplog.records) == 2
    assert str(negotiator.notices).startswith("signaling messages that were of no use: 3 unreadable, 3 unexp")
    await negotiator.close()
    pc.close()


def test_notices_are_printable_and_short() -> None:
    notices = Notices()
    assert str(notices) == ""
    notices.add("unreadable", "\x1b[31m" + "x" * 1000)
    assert "\x1b" not in str(notices)
    assert len(str(notices)) < 300

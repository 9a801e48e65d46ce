import asyncio
import random
from typing import Any, Self
from unittest.mock import AsyncMock

import pytest

from rtcpeer.errors import InvalidStateError, OperationError
from rtcpeer.signaling.channel import as_message, memory_pair
from rtcpeer.signaling.negotiator import Negotiator
from tests.unit.config.virtual import errors, virtual
from tests.unit.signaling.fakes import Candidate, Description, FakePC, World, ufrag_of


class Call:
    """Two connections, two negotiators, one path."""

    def __init__(self, *, resend_after: float | None = None, **path: Any) -> None:
        self.world = World()
        self.pair = memory_pair(**path)
        self.errors: list[Exception] = []
        self.a, self.b = FakePC(self.world), FakePC(self.world)
        self.na = Negotiator(
            self.a, self.pair[0], polite=True, resend_after=resend_after, on_error=self.errors.append
        )
        self.nb = Negotiator(
            self.b, self.pair[1], polite=False, resend_after=resend_after, on_error=self.errors.append
        )

    async def __aenter__(self) -> Self:
        self.na.start()
        self.nb.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.na.close()
        await self.nb.close()
        self.a.close()
        self.b.close()

    def agreed(self) -> bool:
        """Both are stable and each has what the other says."""
        return (
            self.a.signalingState == self.b.signalingState == "stable"
            and not self.a.needed
            and not self.b.needed
            and ufrag_of(self.a.remoteDescription) == ufrag_of(self.b.localDescription)
            and ufrag_of(self.b.remoteDescription) == ufrag_of(self.a.localDescription)
        )


@virtual
async def test_one_side_offers() -> None:
    async with Call() as call:
        call.a.createDataChannel("x")
        await asyncio.sleep(1)
        assert call.agreed()
        assert call.a.connectionState == call.b.connectionState == "connected"
        assert len(call.a.remote_candidates) == len(call.b.remote_candidates) == 2
        assert call.b.remote_candidates[-1] == ""
        assert not call.errors


@pytest.mark.parametrize("delay", [0.0, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05])
@pytest.mark.parametrize("lead", [0.0, 0.005, 0.01, 0.02, 0.03])
@virtual
async def test_glare(delay: float, lead: float) -> None:
    async with Call(delay=delay) as call:
        call.a.createDataChannel("x")
        await asyncio.sleep(lead)
        call.b.createDataChannel("x")
        await asyncio.sleep(2)
        assert call.agreed()
        for pc in (call.a, call.b):
            pc.restartIce()
        await asyncio.sleep(2)
        assert call.agreed()
        assert call.a.generation >= 1
        assert call.b.generation >= 1
        assert not call.errors


@pytest.mark.parametrize("seed", range(15))
@virtual
async def test_changes_from_both_sides_over_a_bad_path_end_in_agreement(seed: int) -> None:
    source = random.Random(seed)
    path = {"delay": 0.02, "jitter": 0.2, "loss": 0.2, "repeat": 0.2, "random_source": source}
    async with Call(resend_after=1.0, **path) as call:
        call.a.createDataChannel("x")
        for _ in range(20):
            source.choice([call.a, call.b]).restartIce()
            await asyncio.sleep(source.random())
        await asyncio.sleep(60)
        assert call.agreed()
        assert not call.errors


@virtual
async def test_a_lost_answer_is_sent_again() -> None:
    async with Call(resend_after=1.0) as call:
        call.a.createDataChannel("x")
        await asyncio.sleep(0.015)
        call.pair.is_up = True
        await asyncio.sleep(0.01)
        call.pair.is_up = False  # the offer has passed, the answer is lost
        await asyncio.sleep(0.5)
        assert call.b.signalingState == "stable"
        assert call.a.signalingState == "have-local-offer"
        call.pair.is_up = True
        await asyncio.sleep(3)
        assert call.agreed()
        assert call.b.calls.count("setLocalDescription") == 1
        assert len(call.a.remote_candidates) >= 1  # from the answer itself, or from a repetition


@virtual
async def test_without_resend_a_lost_offer_stays_lost() -> None:
    async with Call() as call:
        call.pair.is_up = False
        call.a.createDataChannel("x")
        await asyncio.sleep(10)
        call.pair.is_up = True
        await asyncio.sleep(10)
        assert call.a.signalingState == "have-local-offer"


@virtual
async def test_candidates_follow_their_description() -> None:
    sent: list[Any] = []

    class Recorder:
        async def send(self, message: Any, /) -> None:
            sent.append(as_message(message))

        def __aiter__(self) -> Any:
            return memory_pair()[0]

        async def close(self) -> None: ...

    pc = FakePC(latency=0)
    original = pc.setLocalDescription

    async def eager(description: Any = None) -> None:
        await original(description)
        pc.gather()  # some connections are that quick
        await asyncio.sleep(0.1)

    pc.setLocalDescription = eager  # type: ignore[method-assign]
    async with Negotiator(pc, Recorder(), polite=True) as negotiator:
        pc.createDataChannel("x")
        await asyncio.sleep(1)
        assert [next(iter(m)) for m in sent] == ["type", "candidate", "candidate"]
        assert repr(negotiator) == "<Negotiator polite, have-local-offer>"
    pc.close()


@virtual
async def test_early_and_late_candidates() -> None:
    world = World()
    remote, pc = FakePC(world), FakePC(world)
    negotiator = Negotiator(pc, memory_pair()[0], polite=True)
    negotiator.start(read=False)
    early = {"candidate": "candidate:early", "usernameFragment": remote.ufrag}
    await negotiator.receive(early)
    await negotiator.receive(
        {"candidate": f"candidate:inline 1 udp 1 1.2.3.4 5 typ host ufrag {remote.ufrag}"}
    )
    await negotiator.receive({"candidate": "candidate:anonymous"})
    await negotiator.receive({"type": "offer", "sdp": remote.sdp()})
    assert [c.split()[0] for c in pc.remote_candidates] == [
        "candidate:early",
        "candidate:inline",
        "candidate:anonymous",
    ]
    old = remote.ufrag
    remote.new_generation()
    await negotiator.receive({"candidate": "candidate:next", "usernameFragment": remote.ufrag})
    assert len(pc.remote_candidates) == 3
    await negotiator.receive({"type": "offer", "sdp": remote.sdp()})
    await negotiator.receive({"candidate": "candidate:old", "usernameFragment": old})
    assert pc.remote_candidates[-1] == "candidate:next"
    for number in range(1000):
        await negotiator.receive({"candidate": "candidate:x", "usernameFragment": f"unknown{number}"})
    assert len(pc.remote_candidates) == 4
    await negotiator.close()
    pc.close()


@virtual
async def test_old_repeated_and_unexpected_descriptions() -> None:
    world = World()
    remote, pc = FakePC(world), FakePC(world)
    a, b = memory_pair()
    negotiator = Negotiator(pc, a, polite=True)
    negotiator.start(read=False)
    first, second = remote.sdp(), remote.sdp()
    await negotiator.receive({"type": "offer", "sdp": second})
    before = list(pc.calls)
    await negotiator.receive({"type": "offer", "sdp": first})  # late
    await negotiator.receive({"type": "answer", "sdp": remote.sdp()})  # nobody waits
    assert pc.calls == before
    # the copy has a candidate that was lost
    copy = second + "a=candidate:1 1 udp 1 192.0.2.1 5 typ host\r\n"
    await negotiator.receive({"type": "offer", "sdp": copy})
    assert pc.calls == before
    assert pc.remote_candidates == ["candidate:1 1 udp 1 192.0.2.1 5 typ host"]
    await asyncio.sleep(0.1)
    await negotiator.close()
    await a.close()
    answers = [m["sdp"] async for m in b if "type" in m]
    assert len(answers) == 2
    assert answers[1].startswith(answers[0])
    pc.close()


@virtual
async def test_a_repeated_offer_does_not_undo_our_own() -> None:
    world = World()
    remote, pc = FakePC(world), FakePC(world)
    a, b = memory_pair()
    negotiator = Negotiator(pc, a, polite=True)
    negotiator.start(read=False)
    offer = {"type": "offer", "sdp": remote.sdp()}
    await negotiator.receive(offer)
    pc.restartIce()
    await asyncio.sleep(0.1)
    assert pc.signalingState == "have-local-offer"
    await negotiator.receive(offer)
    assert pc.signalingState == "have-local-offer"
    await asyncio.sleep(0.1)
    await negotiator.close()
    await a.close()
    assert [m["type"] async for m in b if "type" in m] == ["answer", "offer", "answer"]
    pc.close()


@virtual
async def test_the_impolite_side_ignores_an_offer_and_its_candidates() -> None:
    world = World()
    remote, pc = FakePC(world), FakePC(world)
    negotiator = Negotiator(pc, memory_pair()[0], polite=False)
    negotiator.start(read=False)
    pc.createDataChannel("x")
    await asyncio.sleep(0.1)
    assert pc.signalingState == "have-local-offer"
    await negotiator.receive({"type": "offer", "sdp": remote.sdp()})
    await negotiator.receive({"candidate": "candidate:1", "usernameFragment": remote.ufrag})
    assert pc.signalingState == "have-local-offer"
    await negotiator.receive({"type": "answer", "sdp": remote.sdp()})
    assert pc.signalingState == "stable"
    await negotiator.receive({"candidate": "candidate:bad", "usernameFragment": remote.ufrag})
    assert len(errors()) == 1
    errors().clear()
    await negotiator.close()
    pc.close()


class Refusing:
    """The other end of an impolite negotiator: a browser that rolls back its offer and then refuses ours."""

    def __init__(self, world: World, resend_after: float | None = None) -> None:
        self.pc, self.version = FakePC(world), 1
        self.channel, self.end = memory_pair()
        self.ours = FakePC(world)
        self.negotiator = Negotiator(self.ours, self.channel, polite=False, resend_after=resend_after)
        self.said: list[dict[str, Any]] = []
        self.offered: list[str] = []

    async def __aenter__(self) -> Self:
        self.negotiator.start(read=False)
        self.reading = asyncio.create_task(self._read())
        self.ours.createDataChannel("x")
        await asyncio.sleep(0.1)
        await self.negotiator.receive({"type": "answer", "sdp": self.pc.sdp()})
        self.ours.restartIce()
        await asyncio.sleep(0.1)
        assert self.ours.signalingState == "have-local-offer"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.negotiator.close()
        await self.channel.close()
        await self.reading
        self.ours.close()
        self.pc.close()

    async def _read(self) -> None:
        async for message in self.end:
            if "type" in message:
                self.said.append(message)

    async def offer(self, **members: Any) -> None:
        self.pc.version += 1
        self.offered.append(self.pc.sdp())
        await self.negotiator.receive({"type": "offer", "sdp": self.offered[-1], **members})

    def kinds(self) -> list[str]:
        return [message["type"] for message in self.said]


@virtual
async def test_the_impolite_side_gives_way_when_its_offer_is_not_taken() -> None:
    """Both would wait for ever: the browser refuses our restart each time that it has rolled back its own offer."""
    async with Refusing(World()) as there:
        await there.offer()
        await asyncio.sleep(60)
        assert there.ours.signalingState == "have-local-offer", "one offer is glare, whose answer may be slow"
        await there.offer()
        await asyncio.sleep(1)
        assert there.ours.signalingState == "have-local-offer", "the answer may be on its way"
        await asyncio.sleep(1.5)
        assert there.kinds() == ["offer", "offer", "answer", "offer"], (
            "what our offer was for is offered again"
        )
        assert there.negotiator.notices.counts["offer not taken"] == 1
        await there.negotiator.receive({"type": "answer", "sdp": there.pc.sdp()})
        assert there.ours.signalingState == "stable"


@virtual
async def test_no_way_is_given_to_an_offer_that_an_answer_follows() -> None:
    async with Refusing(World()) as there:
        await there.offer()
        await there.offer()
        await asyncio.sleep(1)
        await there.negotiator.receive({"type": "answer", "sdp": there.pc.sdp()})
        assert there.ours.signalingState == "stable"
        await asyncio.sleep(10)
        assert there.kinds() == ["offer", "offer"]


@virtual
async def test_no_way_is_given_while_our_offer_may_still_get_there() -> None:
    async with Refusing(World()) as there:
        there.negotiator._outbox.put({"type": "offer", "sdp": "x"})
        sending, there.channel.send = there.channel.send, AsyncMock(side_effect=OSError("not at present"))
        await there.offer()
        await there.offer()
        await asyncio.sleep(5)
        assert there.ours.signalingState == "have-local-offer"
        there.channel.send = sending
        await asyncio.sleep(10)
        assert there.kinds()[-2:] == ["answer", "offer"]


@virtual
async def test_no_way_is_given_to_copies_and_to_ends_that_take_our_offers() -> None:
    async with Refusing(World()) as there:
        for _ in range(3):
            there.pc.version = 1
            await there.offer()
        await asyncio.sleep(10)
        assert there.ours.signalingState == "have-local-offer"
        for number in (7, 8, 9):
            await there.offer(number=number)
        await asyncio.sleep(10)
        assert there.kinds() == ["offer", "offer"]


@virtual
async def test_a_stream_of_offers_does_not_put_off_the_way_that_is_given() -> None:
    """The newest of them is taken."""
    async with Refusing(World()) as there:
        for _ in range(3):
            await there.offer()
            await asyncio.sleep(1.5)
        assert there.kinds() == ["offer", "offer", "answer", "offer"]
        taken = there.ours.remoteDescription
        assert taken is not None
        assert taken.sdp == there.offered[-1]


@virtual
async def test_a_late_copy_of_an_older_offer_changes_nothing() -> None:
    async with Refusing(World()) as there:
        await there.offer()
        await there.offer()
        await there.negotiator.receive({"type": "offer", "sdp": there.offered[0]})
        await asyncio.sleep(3)
        assert there.kinds() == ["offer", "offer", "answer", "offer"]
        taken = there.ours.remoteDescription
        assert taken is not None
        assert taken.sdp == there.offered[-1]


@virtual
async def test_our_offer_is_repeated_where_theirs_cannot_be_taken() -> None:
    """Ours is in force as before, and may have been lost."""
    async with Refusing(World(), resend_after=30.0) as there:
        await there.offer()
        await there.negotiator.receive({"type": "offer", "sdp": "x"})
        await asyncio.sleep(60)
        assert there.ours.signalingState == "have-local-offer"
        assert there.kinds() == ["offer"] * 3
        errors().clear()


@virtual
async def test_an_offer_that_cannot_be_taken_is_reported() -> None:
    async with Refusing(World()) as there:
        await there.offer()
        await there.negotiator.receive({"type": "offer", "sdp": "x"})
        await asyncio.sleep(3)
        assert there.negotiator.notices.counts["refused description"] == 1
        assert len(errors()) == 1
        errors().clear()


@virtual
async def test_rubbish_is_reported_and_the_call_goes_on() -> None:
    async with Call() as call:
        for rubbish in (None, {}, {"type": "offer", "sdp": "x"}, {"candidate": {"candidate": 5}}):
            await call.pair[0].send({"description": rubbish} if rubbish is None else rubbish)
        await asyncio.sleep(0.1)
        assert len(call.errors) == 4
        call.a.createDataChannel("x")
        await asyncio.sleep(1)
        assert call.agreed()


@virtual
async def test_failures_of_the_connection_are_reported() -> None:
    async with Call() as call:
        call.a.fail["setLocalDescription"] = OperationError("no")
        call.a.createDataChannel("x")
        await asyncio.sleep(1)
        assert [str(e) for e in call.errors] == ["no"]
        await call.na.negotiate()
        await asyncio.sleep(1)
        assert call.agreed()


@virtual
async def test_a_channel_that_fails_for_a_while() -> None:
    a, b = memory_pair()
    failures = 3

    class Flaky:
        async def send(self, message: Any, /) -> None:
            nonlocal failures
            if failures:
                failures -= 1
                raise OSError("down")
            await a.send(message)

        def __aiter__(self) -> Any:
            return a

        async def close(self) -> None: ...

    world = World()
    pc, remote = FakePC(world), FakePC(world)
    async with Negotiator(pc, Flaky(), polite=True), Negotiator(remote, b, polite=False):
        pc.createDataChannel("x")
        await asyncio.sleep(5)
        assert pc.connectionState == "connected"
        failures = 6
        pc.restartIce()
        await asyncio.sleep(20)
        assert [type(e["exception"]) for e in errors()] == [OSError]
        errors().clear()
    pc.close()
    remote.close()


@virtual
async def test_an_unsent_offer_is_superseded() -> None:
    sent: list[Any] = []
    gate = asyncio.Event()

    class Slow:
        async def send(self, message: Any, /) -> None:
            await gate.wait()
            sent.append(as_message(message))

        def __aiter__(self) -> Any:
            return memory_pair()[0]

        async def close(self) -> None: ...

    pc = FakePC()
    async with Negotiator(pc, Slow(), polite=True, resend_after=1.0):
        pc.createDataChannel("x")
        await asyncio.sleep(10.5)
        gate.set()
        await asyncio.sleep(0.1)
        # the one that was stuck on its way, and the newest
        assert [m.get("type") for m in sent].count("offer") == 2
    pc.close()


@virtual
async def test_run_ends_with_the_channel() -> None:
    a, _ = memory_pair()
    pc = FakePC()
    negotiator = Negotiator(pc, a, polite=True)
    running = asyncio.ensure_future(negotiator.run())
    await asyncio.sleep(0.1)
    await a.close()
    await running
    assert repr(negotiator).endswith("closed>")
    pc.createDataChannel("x")
    await asyncio.sleep(1)
    assert pc.signalingState == "stable"
    pc.close()


@virtual
async def test_a_channel_whose_iteration_fails_is_reported() -> None:
    class Failing:
        async def send(self, message: Any, /) -> None: ...

        async def __aiter__(self) -> Any:
            raise ConnectionResetError("gone")
            yield

        async def close(self) -> None: ...

    pc = FakePC()
    async with Negotiator(pc, Failing(), polite=True):
        await asyncio.sleep(0.1)
    assert [type(e["exception"]) for e in errors()] == [ConnectionResetError]
    errors().clear()
    pc.close()


@virtual
async def test_a_closed_connection_ends_quietly() -> None:
    async with Call() as call:
        call.a.createDataChannel("x")
        await asyncio.sleep(0.005)
        call.a.close()
        await asyncio.sleep(0.1)
        await call.na.receive({"type": "offer", "sdp": call.b.sdp()})
        assert not call.errors
    await call.na.close()


@virtual
async def test_an_error_listener_that_raises_is_told_of_and_ends_nothing() -> None:
    def fail(error: Exception) -> None:
        heard.append(error)
        raise RuntimeError

    heard: list[Exception] = []
    pc = FakePC()
    async with Negotiator(pc, memory_pair()[0], polite=True, on_error=fail) as negotiator:
        await negotiator.receive({})
        await negotiator.receive({})
    assert len(heard) == 2
    assert [type(e["exception"]) for e in errors()] == [RuntimeError, RuntimeError]
    errors().clear()
    pc.close()


def test_the_fake_refuses_what_a_connection_refuses() -> None:
    @virtual
    async def check() -> None:
        pc = FakePC()
        with pytest.raises(InvalidStateError):
            await pc.addIceCandidate(Candidate({"candidate": ""}).toJSON())
        with pytest.raises(InvalidStateError):
            await pc.setRemoteDescription(Description("answer", pc.sdp()).toJSON())
        pc.close()

    check()


@virtual
@pytest.mark.parametrize("polite", [True, False])
async def test_an_offer_whose_answer_failed_is_answered_when_it_comes_again(polite: bool) -> None:
    async with Call() as call:
        sent: list[Any] = []
        call.nb.polite = polite
        call.b.fail["setLocalDescription"] = OperationError("not now")

        async def keep(message: Any) -> None:
            sent.append(as_message(message))

        call.pair[0].send = keep  # type: ignore[method-assign]
        call.a.createDataChannel("x")
        await asyncio.sleep(0.5)
        offer = next(message for message in sent if message.get("type") == "offer")
        assert offer["number"] == 1
        await call.nb.receive(offer)
        assert call.b.signalingState == "have-remote-offer"
        assert [str(error) for error in call.errors] == ["not now"]
        await call.nb.receive(dict(offer))  # the same number again
        assert call.b.signalingState == "stable"
        assert call.b.localDescription is not None
        assert call.b.localDescription.type == "answer"

import asyncio
from typing import Any

import pytest

from rtcpeer import InvalidStateError
from rtcpeer.media.event_target import Event, EventTarget, fire
from rtcpeer.supervisor.channel import QueueLimits, SupervisedChannel
from rtcpeer.supervisor.policy import Reason
from tests.unit.config.virtual import virtual


class Inner(EventTarget):
    """An RTCDataChannel."""

    def __init__(self, state: str = "open") -> None:
        self.readyState = state
        self.sent: list[Any] = []
        self.bufferedAmount = 0
        self.bufferedAmountLowThreshold = 0
        self.id = 5
        self.error: Exception | None = None

    def send(self, data: Any) -> None:
        if self.error is not None:
            raise self.error
        self.sent.append(data)

    def close(self) -> None:
        self.readyState = "closed"

    def become(self, state: str, event: str) -> None:
        self.readyState = state
        fire(self, Event(event))


class Case:
    def __init__(self, options: dict[str, Any] | None = None, **limits: Any) -> None:
        self.connected = True
        self.closed: list[Any] = []
        self.lost: list[Any] = []
        self.channel = SupervisedChannel(
            "chat",
            options or {},
            is_ours=True,
            is_connected=lambda: self.connected,
            limits=QueueLimits(**limits),
            on_closed=self.closed.append,
        )
        self.channel.onmessageslost = self.lost.append


@virtual
async def test_waits_until_open_and_keeps_order() -> None:
    case = Case()
    opened: list[int] = []
    case.channel.onopen = lambda e: opened.append(e.generation)
    case.channel.send("a")
    case.channel.send(bytearray(b"b"))
    inner = Inner("connecting")
    case.channel.attach(inner, 1)
    assert case.channel.readyState == "connecting"
    assert case.channel.bufferedAmount == 2
    inner.become("open", "open")
    case.channel.send("c")
    assert inner.sent == ["a", b"b", "c"]
    assert case.channel.readyState == "open"
    assert opened == [1]
    assert case.channel.id == 5


@virtual
async def test_waits_while_disconnected() -> None:
    case, inner = Case(), Inner()
    case.channel.attach(inner, 1)
    case.connected = False
    case.channel.send("a")
    assert inner.sent == []
    assert repr(case.channel) == "<SupervisedChannel 'chat' connecting, 1 waiting>"
    case.connected = True
    case.channel.send("b")  # what waits comes first
    case.channel.flush()
    assert inner.sent == ["a", "b"]


@virtual
async def test_the_oldest_are_dropped_and_told() -> None:
    case = Case(messages=3, size_bytes=10)
    for text in "abcd":
        case.channel.send(text)
    assert [e.messages for e in case.lost] == [("a",)]
    case.channel.send(b"x" * 9)
    assert [e.messages for e in case.lost] == [("a",), ("b", "c")]
    assert all(e.certain for e in case.lost)
    case.channel.send("\u00e9" * 20)  # more than fits at all
    assert [e.messages for e in case.lost][-1] == ("d", b"x" * 9, "\u00e9" * 20)
    assert repr(case.lost[0]) == "<MessagesLostEvent 1 lost, policy>"


@virtual
async def test_unreliable_channels_do_not_wait() -> None:
    for options in ({"maxRetransmits": 0}, {"maxPacketLifeTime": 100}):
        case = Case(options)
        case.channel.send("a")
        assert [e.messages for e in case.lost] == [("a",)]
        inner = Inner()
        case.channel.attach(inner, 1)
        case.channel.send("b")
        assert inner.sent == ["b"]


@virtual
async def test_what_was_sent_shortly_before_is_in_doubt() -> None:
    case, inner = Case(doubt_time=10.0), Inner()
    case.channel.attach(inner, 1)
    loop = asyncio.get_running_loop()
    case.channel.send("old")
    await asyncio.sleep(11)
    case.channel.send("doubtful")
    since = loop.time()
    case.connected = False
    case.channel.send("waiting")
    await asyncio.sleep(5)
    case.channel.detach(since, Reason.NETWORK)
    assert case.lost == []  # nobody knows yet whether the other side can say what has arrived
    await asyncio.sleep(5)
    case.channel.settle(resend=False, arrived=None)
    (event,) = case.lost
    assert (event.messages, event.certain, event.generation) == (("doubtful",), False, 1)
    assert repr(event) == "<MessagesLostEvent 1 in doubt, network>"
    assert case.channel.channel is None
    fire(inner, Event("open"))  # the old one has nothing to say any more
    second = Inner("connecting")
    case.channel.attach(second, 2)
    case.connected = True
    second.become("open", "open")
    assert second.sent == ["waiting"]
    case.channel.detach(None, Reason.API)
    case.channel.settle(resend=False, arrived=None)
    assert case.lost[-1].messages == ("waiting",)


@virtual
async def test_of_a_healthy_connection_of_another_stack_only_the_last_second_is_in_doubt() -> None:
    case = Case()
    case.channel.attach(Inner(), 1)
    for text in ("3 s before", "0.5 s before"):
        case.channel.send(text)
        await asyncio.sleep(2.5 if text.startswith("3") else 0.5)
    case.channel.detach(None, Reason.API)
    case.channel.settle(resend=False, arrived=None)
    assert [e.messages for e in case.lost] == [("0.5 s before",)]


@virtual
async def test_the_record_is_bounded_and_says_so() -> None:
    case = Case(size_bytes=100)
    case.channel.attach(Inner(), 1)
    for _ in range(100):
        case.channel.send("x" * 10)
    case.channel.detach(None, Reason.DTLS)
    case.channel.settle(resend=False, arrived=None)
    (event,) = case.lost
    assert len(event.messages) == 10
    assert event.untracked == 90


class Telling(Inner):
    """A channel that can say how many of the newest messages were not acknowledged."""

    def __init__(self, state: str = "open") -> None:
        super().__init__(state)
        self.unacknowledgedMessages = 0

    def send(self, data: Any) -> None:
        super().send(data)
        self.unacknowledgedMessages += 1


@virtual
async def test_all_that_is_not_acknowledged_is_told_however_old_it_is() -> None:
    case, inner = Case(), Telling()
    case.channel.attach(inner, 1)
    for number in range(200):
        case.channel.send(str(number))
        inner.unacknowledgedMessages = min(inner.unacknowledgedMessages, 150)
    await asyncio.sleep(100)
    inner.unacknowledgedMessages = 120
    case.channel.detach(None, Reason.API)
    case.channel.settle(resend=False, arrived=None)
    (event,) = case.lost
    assert event.messages == tuple(map(str, range(80, 200)))
    assert (event.certain, event.untracked, event.reason) == (False, 0, Reason.API)


@virtual
async def test_what_did_not_arrive_is_sent_again_before_all_that_waits() -> None:
    case, inner = Case(messages=1), Telling()
    case.channel.attach(inner, 1)
    for text in "abcd":
        case.channel.send(text)
    inner.unacknowledgedMessages = 3
    case.channel.detach(None, Reason.REMOTE)
    second = Telling("connecting")
    case.channel.attach(second, 2)
    case.channel.send("e")
    second.become("open", "open")
    assert second.sent == []  # not before one knows what has arrived
    assert case.channel.readyState == "connecting"
    case.channel.settle(resend=True, arrived=2)
    assert second.sent == ["c", "d", "e"]
    assert case.lost == []
    # the numbers go on where the other side has counted
    second.unacknowledgedMessages = 3
    case.channel.detach(None, Reason.REMOTE)
    third = Telling()
    case.channel.attach(third, 3)
    case.channel.settle(resend=True, arrived=4)
    assert third.sent == ["e"]


@virtual
async def test_what_arrives_by_the_old_connection_until_it_is_closed() -> None:
    case, inner = Case(), Telling()
    got: list[tuple[str, int]] = []
    case.channel.onmessage = lambda e: got.append((e.data, e.generation))

    def arrive(channel: Telling, data: str) -> None:
        event = Event("message")
        event.data = data  # type: ignore[attr-defined]
        fire(channel, event)

    case.channel.attach(inner, 1)
    arrive(inner, "a")
    case.channel.detach(None, Reason.API)
    arrive(inner, "b")
    second = Telling()
    case.channel.attach(second, 2)
    case.channel.settle(resend=True, arrived=0)
    case.channel.delivery.resume(2, is_ordered=True)  # the other side could not know of "b"
    arrive(second, "b")
    arrive(second, "c")
    assert got == [("a", 1), ("b", 1), ("c", 2)]
    assert case.channel.delivery.received == 3


@virtual
async def test_the_end_tells_what_is_in_doubt() -> None:
    case, inner = Case(), Telling()
    case.channel.attach(inner, 1)
    case.channel.send("a")
    case.channel.send("b")
    inner.unacknowledgedMessages = 1
    case.channel.end(Reason.REMOTE_CLOSED)
    assert [(e.messages, e.certain) for e in case.lost] == [(("b",), False)]


@virtual
async def test_an_unreliable_channel_sends_nothing_again() -> None:
    case, inner = Case({"maxRetransmits": 0}), Telling()
    case.channel.attach(inner, 1)
    case.channel.send("a")
    case.channel.detach(None, Reason.REMOTE)
    second = Telling()
    case.channel.attach(second, 2)
    case.channel.settle(resend=True, arrived=0)
    assert second.sent == []
    assert [e.messages for e in case.lost] == [("a",)]


@virtual
async def test_send_async_waits_for_room() -> None:
    case = Case(messages=2)
    await case.channel.send_async("a")
    await case.channel.send_async("b")
    waiting = asyncio.ensure_future(case.channel.send_async("c"))
    await asyncio.sleep(1)
    assert not waiting.done()
    inner = Inner()
    case.channel.attach(inner, 1)
    await waiting
    assert inner.sent == ["a", "b", "c"]
    assert case.lost == []
    case.connected = False
    await case.channel.send_async("d")
    await case.channel.send_async("e")
    waiting = asyncio.ensure_future(case.channel.send_async("f"))
    await asyncio.sleep(1)
    case.channel.close()
    with pytest.raises(InvalidStateError):
        await waiting
    assert case.lost[-1].messages == ("d", "e")


@virtual
async def test_bad_arguments() -> None:
    case = Case()
    with pytest.raises(TypeError):
        case.channel.send(5)  # type: ignore[arg-type]
    case.channel.close()
    case.channel.close()
    assert case.closed == [case.channel]
    with pytest.raises(InvalidStateError):
        case.channel.send("a")
    assert case.channel.readyState == "closed"


@virtual
async def test_a_message_that_the_connection_refuses() -> None:
    case, inner = Case(), Inner()
    case.channel.attach(inner, 1)
    inner.error = TypeError("too large")
    with pytest.raises(TypeError):
        case.channel.send("a")
    case.connected = False
    case.channel.send("b")
    case.connected = True
    case.channel.flush()
    assert case.lost[0].messages == ("b",)
    case.connected = False
    case.channel.send("c")
    case.connected = True
    inner.send = lambda _: inner.become("closed", "closed") or inner.send_fails()  # type: ignore[method-assign, attr-defined, func-returns-value]
    inner.send_fails = lambda: (_ for _ in ()).throw(InvalidStateError())  # type: ignore[attr-defined]
    case.channel.flush()
    assert len(case.lost) == 1
    assert case.channel.bufferedAmount == 1


@virtual
async def test_closed_by_the_other_side() -> None:
    case, inner = Case(), Inner()
    closed: list[Any] = []
    case.channel.onclose = closed.append
    case.channel.attach(inner, 1)
    inner.become("closed", "close")
    await asyncio.sleep(1)
    assert len(closed) == 1
    assert case.channel.readyState == "closed"


@virtual
async def test_the_end_of_a_connection_closes_no_channel() -> None:
    case, inner = Case(), Inner()
    case.channel.attach(inner, 1)
    inner.become("closed", "close")
    case.connected = False
    await asyncio.sleep(1)
    assert case.channel.readyState == "connecting"


@virtual
async def test_events_and_thresholds_follow() -> None:
    case, inner = Case({"ordered": False, "protocol": "p", "negotiated": True, "id": 3}), Inner()
    told: list[Any] = []
    case.channel.onmessage = lambda e: told.append((e.type, e.generation, e.target))
    case.channel.bufferedAmountLowThreshold = 7
    case.channel.attach(inner, 4)
    assert inner.bufferedAmountLowThreshold == 7
    case.channel.bufferedAmountLowThreshold = 9
    assert inner.bufferedAmountLowThreshold == case.channel.bufferedAmountLowThreshold == 9
    fire(inner, Event("message"))
    assert told == [("message", 4, case.channel)]
    assert (case.channel.ordered, case.channel.protocol, case.channel.negotiated) == (False, "p", True)
    case.channel.close()
    assert inner.readyState == "closed"

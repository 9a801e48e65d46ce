"""`check_signaling_channel`: tests whether a signaling path does what negotiator and supervisor rely on.

What a channel's capabilities rule out is not asked of it: order where it is not `ordered`. Of a channel that carries
one exchange (`renegotiate` is False) it is asked that one offer goes the way that `offers` says, and one answer the
other; that both descriptions arrive as they were and candidates where they may follow; and that it closes.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from rtcpeer.signaling.capabilities import ChannelCapabilities, capabilities_of
from rtcpeer.signaling.channel import Message, SignalingChannel

Pair = tuple[SignalingChannel, SignalingChannel]

# CRLF, characters beyond ASCII, quotes, and the size of a call with many participants
_SDP = "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=\u00fc \u2603 \"'\\\r\n" + "a=x:" + "y" * 200_000 + "\r\n"
_TIDY_TIME = 1.0
_TIDY_STEPS = 50
_OFFER = {"type": "offer", "sdp": _SDP}
_CANDIDATE = {
    "candidate": "candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host",
    "sdpMid": "0",
    "sdpMLineIndex": 0,
    "usernameFragment": "abcd",
}
_END = {"candidate": "", "sdpMid": "0", "sdpMLineIndex": 0, "usernameFragment": "abcd"}

# of a channel that reads descriptions, such as a WHIP client
_REAL = "".join(
    f"{line}\r\n"
    for line in (
        *("v=0", "o=- 1234567 1 IN IP4 0.0.0.0", "s=-", "t=0 0", "a=group:BUNDLE 0"),
        *("m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "c=IN IP4 0.0.0.0", "a=mid:0"),
        *("a=ice-ufrag:abcd", "a=ice-pwd:abcdefghijklmnopqrstuvwx", "a=setup:actpass", "a=sctp-port:5000"),
        "a=fingerprint:sha-256 " + ":".join(["AB"] * 32),
    )
)


class _HasToJson:
    """A candidate like RTCIceCandidate: its `toJSON()` is what is sent."""

    def toJSON(self) -> dict[str, Any]:
        return dict(_CANDIDATE)


async def check_signaling_channel(
    make_pair: Callable[[], Pair | Awaitable[Pair]], *, timeout: float = 10.0
) -> None:
    """Run an implementation of `SignalingChannel` through everything that is expected of it.

    Put it into a test of yours: ``await check_signaling_channel(lambda: my_pair())``.

    Args:
        make_pair: returns (or is a coroutine function that returns) two new channels that are connected to
            each other; it is called several times.
        timeout: how long a message or an end may take, in seconds.

    Raises:
        AssertionError: a promise is broken; the message says which.
    """
    tasks = asyncio.all_tasks()
    for check in (
        _capabilities_fit,
        _passes_unchanged,
        _keeps_order,
        _candidates_together,
        _both_directions_at_once,
        _closes,
        _remote_close_ends_iteration,
    ):
        made = make_pair()
        first, second = await made if inspect.isawaitable(made) else made
        capabilities = _read_capabilities(first)
        if capabilities.offers == "remote":
            first, second = second, first
        one_exchange = not capabilities.renegotiate
        try:
            if check in _NEEDS_MORE and one_exchange:
                continue
            await (_one_exchange if check is _passes_unchanged and one_exchange else check)(
                first, second, timeout
            )
        finally:
            async with asyncio.timeout(timeout):
                await first.close()
                await second.close()
    names: list[str] = []
    for _ in range(_TIDY_STEPS):  # a server in the same process sees the end a little later
        names = sorted(task.get_name() for task in asyncio.all_tasks() - tasks)
        if not names:
            break
        await asyncio.sleep(_TIDY_TIME / _TIDY_STEPS)
    _expect(not names, f"after close() these tasks are still there: {names}")


async def _passes_unchanged(first: SignalingChannel, second: SignalingChannel, timeout: float) -> None:
    _expect(isinstance(first, SignalingChannel), "it has no send, __aiter__ and close")
    for message in (_OFFER, _CANDIDATE, _END):
        await first.send(message)
        (arrived,) = await _receive(second, 1, timeout)
        _expect(
            {key: arrived.get(key) for key in message} == message,
            f"{next(iter(message))!r} message arrived changed, with the members {sorted(arrived)}",
        )
    await first.send(_HasToJson())
    (arrived,) = await _receive(second, 1, timeout)
    _expect(arrived.get("usernameFragment") == "abcd", "an object with toJSON() arrived changed")


def _read_capabilities(channel: SignalingChannel) -> ChannelCapabilities:
    try:
        return capabilities_of(channel)
    except TypeError as error:
        raise AssertionError(str(error)) from None


async def _capabilities_fit(first: SignalingChannel, second: SignalingChannel, timeout: float) -> None:
    """Check the capabilities: the record that everybody reads, contradicting neither itself nor the other end's."""
    ends = [_read_capabilities(channel) for channel in (first, second)]
    for channel, mine, theirs in ((first, ends[0], ends[1]), (second, ends[1], ends[0])):
        _expect(mine.restart in ("offer", "ask", "no"), f"restart is {mine.restart!r}")
        _expect(mine.trickle in (True, False, "auto"), f"trickle is {mine.trickle!r}")
        _expect(mine.gathering_time >= 0, f"gathering_time is {mine.gathering_time!r}")
        _expect(mine.offers in ("both", "local", "remote"), f"offers is {mine.offers!r}")
        _expect(
            (mine.offers, theirs.offers) in (("both", "both"), ("local", "remote"), ("remote", "local")),
            f"one end says that offers come from {mine.offers!r}, the other from {theirs.offers!r}",
        )
        if mine.restart == "ask":
            _expect(
                hasattr(channel, "request_restart"), 'restart is "ask", and there is no request_restart()'
            )
        if mine.offers == "remote":
            _expect(mine.restart != "offer", 'restart is "offer" where only the other side makes offers')
        if mine.polite is not None and theirs.polite is not None:
            _expect(mine.polite != theirs.polite, "both ends are polite, or none is")


async def _one_exchange(first: SignalingChannel, second: SignalingChannel, timeout: float) -> None:
    """An offer and its answer, the only messages that such a channel surely carries, and candidates."""
    offering = asyncio.ensure_future(first.send({"type": "offer", "sdp": _REAL}))
    try:
        (offer,) = await _receive(second, 1, timeout, "the offer did not arrive")
        _expect(offer.get("type") == "offer" and offer.get("sdp") == _REAL, "the offer arrived changed")
        answer = _REAL.replace("a=setup:actpass", "a=setup:active").replace("1234567", "7654321")
        await second.send({"type": "answer", "sdp": answer})
        (arrived,) = await _receive(first, 1, timeout, "the answer did not arrive")
        _expect(arrived.get("type") == "answer", "the answer arrived changed")
        _expect(arrived.get("sdp") == answer, "the answer arrived changed")
        async with asyncio.timeout(timeout):
            await offering
    finally:
        offering.cancel()
        await asyncio.wait([offering])
    if capabilities_of(first).trickle is not False:
        await first.send(_CANDIDATE)
        (candidate,) = await _receive(second, 1, timeout, "a candidate did not arrive")
        _expect(candidate.get("candidate") == _CANDIDATE["candidate"], "a candidate arrived changed")


async def _candidates_together(first: SignalingChannel, second: SignalingChannel, timeout: float) -> None:
    send = getattr(first, "send_candidates", None)
    if send is None:
        return
    await first.send(_OFFER)
    await send([_CANDIDATE, _END])
    arrived = await _receive(second, 3, timeout)
    _expect(
        [m.get("candidate") for m in arrived[1:]] == [_CANDIDATE["candidate"], ""], "a batch arrived changed"
    )


async def _keeps_order(first: SignalingChannel, second: SignalingChannel, timeout: float) -> None:
    if not capabilities_of(first).ordered:
        return
    for number in range(50):
        await first.send(_CANDIDATE | {"sdpMLineIndex": number})
    arrived = await _receive(second, 50, timeout)
    _expect([m["sdpMLineIndex"] for m in arrived] == list(range(50)), "messages arrived in another order")


async def _both_directions_at_once(first: SignalingChannel, second: SignalingChannel, timeout: float) -> None:
    async def send(channel: SignalingChannel) -> None:
        for _ in range(20):
            await channel.send(_CANDIDATE)

    async with asyncio.timeout(timeout):
        await asyncio.gather(
            send(first), send(second), _receive(first, 20, timeout), _receive(second, 20, timeout)
        )


async def _closes(first: SignalingChannel, second: SignalingChannel, timeout: float) -> None:
    reading = asyncio.ensure_future(_receive(first, 1, timeout, "close() did not end the iteration"))
    await asyncio.sleep(0)
    async with asyncio.timeout(timeout):
        await first.close()
        await first.close()
    _expect(await reading == [], "something arrived that nobody sent")
    try:
        await first.send(_CANDIDATE)
    except Exception:
        return
    raise AssertionError("send() after close() did not raise")


async def _remote_close_ends_iteration(
    first: SignalingChannel, second: SignalingChannel, timeout: float
) -> None:
    await first.send(_CANDIDATE)
    await first.close()
    arrived = await _receive(second, 2, timeout, "the other end's close() did not end the iteration")
    _expect(len(arrived) == 1, "what was sent before close() did not arrive")


async def _receive(
    channel: SignalingChannel, count: int, timeout: float, complaint: str = "a message did not arrive"
) -> list[Message]:
    """Up to `count` messages; fewer when the iteration ends."""
    arrived: list[Message] = []
    try:
        async with asyncio.timeout(timeout):
            iterator = aiter(channel)
            while len(arrived) < count:
                arrived.append(await anext(iterator))
    except StopAsyncIteration:
        pass
    except TimeoutError:
        raise AssertionError(f"{complaint} within {timeout:g} s") from None
    return arrived


def _expect(fine: bool, complaint: str) -> None:
    if not fine:
        raise AssertionError(complaint)


# what a channel that carries one exchange cannot show
_NEEDS_MORE = (_keeps_order, _candidates_together, _both_directions_at_once, _remote_close_ends_iteration)

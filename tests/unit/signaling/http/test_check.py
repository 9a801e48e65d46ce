"""`check_signaling_channel` on a WHIP client and the session at its server, and on channels that break a promise."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from rtcpeer.signaling import (
    ChannelCapabilities,
    WhipClient,
    WhipServer,
    WhipSession,
    check_signaling_channel,
)
from rtcpeer.signaling.channel import MemoryChannel, memory_pair


class ServerEnd:
    """The session that a client's offer makes, as a channel from the start."""

    def __init__(self, server: WhipServer, sessions: asyncio.Queue[WhipSession]) -> None:
        self.server = server
        self.sessions = sessions
        self.session: WhipSession | None = None
        self.closed = False

    capabilities = ChannelCapabilities(
        reliable=True, trickle=False, renegotiate=False, restart="no", offers="remote", polite=True
    )

    async def send(self, message: Any, /) -> None:
        assert self.session is not None
        await self.session.send(message)

    async def __aiter__(self) -> AsyncIterator[Any]:
        if self.session is None:
            self.session = await self.sessions.get()
        async for message in self.session:
            yield message

    async def close(self) -> None:
        await self.server.close()


@pytest.mark.parametrize("trickle", [True, "auto", False])
async def test_a_whip_client_and_its_session_keep_every_promise(trickle: Any) -> None:
    async def make() -> tuple[Any, Any]:
        sessions: asyncio.Queue[WhipSession] = asyncio.Queue()

        async def on_publish(session: WhipSession) -> None:
            aiter(session)
            sessions.put_nowait(session)
            await session.ended()

        server = WhipServer(on_publish)
        known = asyncio.all_tasks()
        await server.start()
        for task in asyncio.all_tasks() - known:  # the listener is no task of the channel's
            task.set_name("listener")
        return WhipClient(server.url, trickle=trickle), ServerEnd(server, sessions)

    await check_signaling_channel(make)


@pytest.mark.parametrize(
    ("first", "second", "complaint"),
    [
        ({"restart": "later"}, {}, "restart is 'later'"),
        ({"trickle": "maybe"}, {}, "trickle is 'maybe'"),
        ({"gathering_time": -1.0}, {}, "gathering_time is -1.0"),
        ({"offers": "local"}, {}, "one end says that offers come from 'local'"),
        ({"offers": "local"}, {"offers": "local"}, "the other from 'local'"),
        ({"restart": "ask"}, {}, "there is no request_restart"),
        ({"offers": "local"}, {"offers": "remote"}, 'restart is "offer" where only the other side'),
        ({"polite": True}, {"polite": True}, "both ends are polite"),
    ],
)
async def test_capabilities_that_contradict(first: Any, second: Any, complaint: str) -> None:
    class One(MemoryChannel):
        capabilities = ChannelCapabilities(**first)

    class Two(MemoryChannel):
        capabilities = ChannelCapabilities(**second)

    def make() -> Any:
        a, b = memory_pair()
        a.__class__, b.__class__ = One, Two  # type: ignore[assignment]
        return a, b

    with pytest.raises(AssertionError, match=complaint):
        await check_signaling_channel(make)


async def test_a_channel_that_is_no_record_of_capabilities() -> None:
    class Wrong(MemoryChannel):
        capabilities = {"reliable": True}

    def make() -> Any:
        a, b = memory_pair()
        a.__class__ = Wrong
        return a, b

    with pytest.raises(AssertionError, match="ChannelCapabilities, not dict"):
        await check_signaling_channel(make)

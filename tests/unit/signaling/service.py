"""A signaling channel to a service that fails, refuses and is slow as a test says."""

import asyncio
from typing import Any, Self

from rtcpeer.signaling.capabilities import ChannelCapabilities
from rtcpeer.signaling.channel import as_message

ONE_EXCHANGE = ChannelCapabilities(reliable=True, renegotiate=False, offers="local")


class Service:
    """A channel to a service: keeps what is sent, fails and answers as told."""

    def __init__(self, capabilities: ChannelCapabilities | None = None, *, failures: Any = ()) -> None:
        if capabilities is not None:
            self.capabilities = capabilities
        self.sent: list[tuple[float, dict[str, Any]]] = []
        self.failures = list(failures)
        self.slow = 0.0
        self.arrived: asyncio.Queue[Any] = asyncio.Queue()

    async def send(self, message: Any, /) -> None:
        self.sent.append((asyncio.get_running_loop().time(), as_message(message)))
        await asyncio.sleep(self.slow)
        if self.failures:
            error = self.failures.pop(0)
            if error is not None:
                raise error

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        message = await self.arrived.get()
        if message is None:
            raise StopAsyncIteration
        return message

    async def close(self) -> None:
        self.arrived.put_nowait(None)

    def kinds(self) -> list[str]:
        return [message.get("type", "candidate") for _, message in self.sent]


class Batching(Service):
    """A service that takes candidates together."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.batches: list[list[dict[str, Any]]] = []

    async def send_candidates(self, messages: list[dict[str, Any]]) -> None:
        self.batches.append(messages)

"""The examination of a STUN server: does it answer, how fast, and how does it see us?"""

from __future__ import annotations

import asyncio

from rtcpeer.cli.checkup.surroundings import (
    ALLOCATE_BY,
    ANSWER_WITHIN,
    Surroundings,
    note_failure,
    note_refusal,
)
from rtcpeer.cli.checkup.verdicts import Attempt
from rtcpeer.config.servers import IceServerEntry
from rtcpeer.ice import stun


async def ask(around: Surroundings, entry: IceServerEntry, attempt: Attempt, source: str) -> None:
    """Ask over UDP, from the lookout, so that the answer also shows the NAT."""
    lookout = await around.lookout(source)
    if lookout is None:
        attempt.outcome, attempt.error_text = "unreachable", f"no UDP socket can be opened on {source}"
        return
    mapped, took, error = await lookout.ask(attempt.address, around.left(ALLOCATE_BY, ANSWER_WITHIN))
    if mapped is None:
        note_refusal(attempt, entry, *error)
        if attempt.outcome == "silent" and attempt.address in lookout.strange:
            attempt.outcome = "not-stun"
        return
    # once more: the first answer's time may be that of a repeated question
    again, second, _ = await lookout.ask(attempt.address, around.left(ALLOCATE_BY, 1.0))
    attempt.outcome, attempt.mapped = "works", mapped
    attempt.rtt = min(took, second) if again is not None else took


async def ask_over_tls(around: Surroundings, entry: IceServerEntry, attempt: Attempt, source: str) -> None:
    """Ask a ``stuns:`` server."""
    loop = asyncio.get_running_loop()
    answer = _Answer()
    try:
        async with asyncio.timeout(around.left(ALLOCATE_BY, ANSWER_WITHIN)):
            stream = await around.network.open_stream(
                *attempt.address,
                receiver=answer.feed_untrusted,
                tls=around.tls,
                server_hostname=entry.url.host,
                local_host=source,
            )
            try:
                begin = loop.time()
                stream.write(stun.encode(stun.BINDING_REQUEST, stun.new_transaction_id(), b""))
                message = await answer.message
            finally:
                stream.close()
    except OSError as error:
        note_failure(attempt, error)
        return
    if message is None:
        attempt.outcome = "not-stun"
    elif message.kind == stun.BINDING_SUCCESS:
        attempt.outcome, attempt.mapped, attempt.rtt = "works", message.mapped_address, loop.time() - begin
    else:
        note_refusal(attempt, entry, *message.error)


class _Answer:
    """One STUN message from a stream; `message` becomes None when it is something else."""

    def __init__(self) -> None:
        self.message: asyncio.Future[stun.Message | None] = asyncio.get_running_loop().create_future()
        self._buffer = bytearray()

    def feed_untrusted(self, chunk: bytes | None) -> None:
        if self.message.done():
            return
        buffer = self._buffer
        buffer += chunk or b""
        size = stun.HEADER_SIZE + int.from_bytes(buffer[2:4], "big")
        if len(buffer) >= size and len(buffer) >= stun.HEADER_SIZE:
            try:
                self.message.set_result(stun.parse_untrusted(bytes(buffer[:size])))
            except stun.StunError:
                self.message.set_result(None)
        elif chunk is None or (buffer and buffer[0] > 3):
            self.message.set_result(None)

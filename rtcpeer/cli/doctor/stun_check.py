"""Test of a STUN server: does it answer, how fast, and which address does it see?"""

from __future__ import annotations

import asyncio
from functools import partial

from rtcpeer.cli.doctor.context import (
    ALLOCATE_BY,
    ANSWER_WITHIN,
    ExaminationContext,
    note_failure,
    note_refusal,
)
from rtcpeer.cli.doctor.udp_socket import RTO, report_errors
from rtcpeer.cli.doctor.verdicts import ServerAttempt
from rtcpeer.config.servers import IceServerEntry
from rtcpeer.dtls.client import DtlsChannel
from rtcpeer.dtls.trust import client_connection
from rtcpeer.net.network import Address
from rtcpeer.stun import message as stun


async def ask(around: ExaminationContext, entry: IceServerEntry, attempt: ServerAttempt, source: str) -> None:
    """Ask over UDP, from the lookout, so that the answer also shows the NAT."""
    lookout = await around.lookout(source)
    if lookout is None:
        attempt.outcome, attempt.error_text = "unreachable", f"no UDP socket can be opened on {source}"
        return
    mapped, took, error = await lookout.ask(attempt.address, around.left(ALLOCATE_BY, ANSWER_WITHIN))
    if mapped is None:
        note_refusal(attempt, entry, *error)
        if attempt.outcome == "silent" and attempt.address in lookout.unreachable:
            attempt.outcome = "unreachable"
        elif attempt.outcome == "silent" and attempt.address in lookout.strange:
            attempt.outcome = "not-stun"
        return
    # once more: the first answer's time may be that of a repeated question
    again, second, _ = await lookout.ask(attempt.address, around.left(ALLOCATE_BY, 1.0))
    attempt.outcome, attempt.mapped = "works", mapped
    attempt.rtt = min(took, second) if again is not None else took


async def ask_over_dtls(
    around: ExaminationContext, entry: IceServerEntry, attempt: ServerAttempt, source: str
) -> None:
    """Ask a ``stuns:`` server (RFC 7350) from a socket of its own; what is timed is the answer, not the handshake."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[stun.StunMessage | None] = loop.create_future()
    channel = DtlsChannel(
        partial(client_connection, around.tls, entry.url.host),
        send=lambda datagram: socket.send(datagram, attempt.address),
        receive=lambda data: _note(answer, data),
        on_end=lambda: _note(answer, b""),
        rto=RTO,
    )

    def received(data: bytes, address: Address) -> None:
        if address == attempt.address:
            channel.received_untrusted(data)

    try:
        socket = await around.network.open_udp(source, 0, received)
        report_errors(socket, lambda _, problem: channel.lost(OSError(problem)))
        try:
            async with asyncio.timeout(around.left(ALLOCATE_BY, ANSWER_WITHIN)):
                channel.start()
                await channel.opened
                request = stun.encode(stun.BINDING_REQUEST, stun.new_transaction_id(), b"")
                while not answer.done():
                    begin = loop.time()
                    channel.write(request)
                    await asyncio.wait([answer], timeout=RTO * 2)
        finally:
            channel.close()
            socket.close()
    except OSError as error:
        note_failure(attempt, error)
        return
    message = answer.result()
    if message is None:
        attempt.outcome = "not-stun"
    elif message.kind == stun.BINDING_SUCCESS:
        attempt.outcome, attempt.mapped, attempt.rtt = "works", message.mapped_address, loop.time() - begin
    else:
        note_refusal(attempt, entry, *message.error)


def _note(answer: asyncio.Future[stun.StunMessage | None], data: bytes) -> None:
    if not answer.done():
        try:
            answer.set_result(stun.parse_untrusted(data))
        except stun.StunError:
            answer.set_result(None)

"""How far this machine's clock is from a server's: by the Date field of whatever answers HTTP there (RFC 9110 6.6.1).

Owns: the question. Never: a secret; the answer is a hint and is believed by nobody but the reader.
"""

from __future__ import annotations

import asyncio
import re
from email.utils import parsedate_to_datetime

from rtcpeer.cli.doctor.context import ExaminationContext
from rtcpeer.testing.clock import wall_time

_ANSWER_MAX = 4096
_WITHIN = 1.5
_BY = 9.0
_DATE = re.compile(rb"^date:[ \t]*([^\r\n]{1,60})", re.IGNORECASE | re.MULTILINE)


async def clock_skew(around: ExaminationContext, host: str, name: str) -> float | None:
    """By how many seconds our clock is ahead of the server's; None where nothing tells its time.

    Args:
        around: the run.
        host: address of the server.
        name: for the Host field.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[bytes] = loop.create_future()
    read = bytearray()

    def received(chunk: bytes | None) -> None:
        read.extend(chunk or b"")
        if (chunk is None or b"\r\n\r\n" in read or len(read) > _ANSWER_MAX) and not answer.done():
            answer.set_result(bytes(read))

    try:
        async with asyncio.timeout(around.left(_BY, _WITHIN)):
            stream = await around.network.open_stream(host, 80, receiver=received)
            try:
                stream.write(
                    f"HEAD / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode("ascii", "replace")
                )
                head = await answer
            finally:
                stream.close()
    except OSError:
        return None
    found = _DATE.search(head)
    if found is None:
        return None
    try:
        return wall_time() - parsedate_to_datetime(found[1].decode("ascii", "replace").strip()).timestamp()
    except (ValueError, OverflowError):
        return None

"""What one packet costs, in microseconds of this process: forwarded, received unread, sent from an encoded source.

Real connections over loopback; their other ends read nothing while it is measured, so only one side is. CPU time, and
of many rounds the fastest, in which the machine did nothing else. What the system takes to send is measured
beside it; a figure divided by that can be compared with those of another machine. `tests.bench.relay` measures whole
processes, with feedback.

    python -m tests.bench.packets [--subscribers 1 5 20 200] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import json
import logging
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import av

from rtcpeer import EncodedTrack, Forwarder, RTCPeerConnection
from rtcpeer.dtls.transport import DtlsTransport
from rtcpeer.net.system import UdpSocket
from rtcpeer.rtp import fan_out
from rtcpeer.rtp.packet import URI_ABS_SEND_TIME, URI_MID, URI_TRANSPORT_CC, write_extensions, write_rtp
from tests.bench.relay import TIME_BASE

#: Packets of a picture, and bytes of payload in each: 1 Mbit/s at 30 a second, as cut by our sender.
PACKETS, PAYLOAD = 4, 1040
SOUND_PAYLOAD = 80
#: Packets in, per round.
ROUND = 40


async def connect(
    offerer: RTCPeerConnection, answerer: RTCPeerConnection, change: Callable[[str], str] = str
) -> None:
    """Connect two in this process; `change` edits both descriptions on their way."""
    await offerer.setLocalDescription()
    await gathered(offerer)
    await answerer.setRemoteDescription(type="offer", sdp=change(offerer.localDescription.sdp))
    await answerer.setLocalDescription()
    await gathered(answerer)
    await offerer.setRemoteDescription(type="answer", sdp=change(answerer.localDescription.sdp))
    await offerer.connected(timeout=20)
    await answerer.connected(timeout=20)


async def gathered(pc: RTCPeerConnection) -> None:
    """All candidates are in the description."""
    while pc.iceGatheringState != "complete":  # noqa: ASYNC110
        await asyncio.sleep(0.002)


def dtls_of(pc: RTCPeerConnection) -> DtlsTransport:
    """What carries the packets of a connection."""
    transport: Any = pc.getTransceivers()[0].receiver.transport
    found: DtlsTransport = transport._core.transport
    return found


class Deaf:
    """Sockets that read nothing for now: all but those of this connection."""

    def __init__(self, *pcs: RTCPeerConnection) -> None:
        self._sockets: list[UdpSocket] = []
        wanted = {id(dtls_of(pc)) for pc in pcs}
        for found in gc.get_objects():
            if isinstance(found, UdpSocket) and found._receiver is not None:
                owner = getattr(getattr(found._receiver, "__self__", None), "pipe", None)
                receiver = getattr(getattr(owner, "receiver", None), "__self__", None)
                if id(receiver) in wanted:
                    self._sockets.append(found)

    def __enter__(self) -> None:
        for found in self._sockets:
            found._loop.remove_reader(found._socket.fileno())

    def __exit__(self, *exc: object) -> None:
        for found in self._sockets:
            if found._receiver is not None:
                found._loop.add_reader(found._socket.fileno(), found._readable)


class Publisher:
    """Makes packets of a sender as they would arrive: protected with its keys."""

    def __init__(self, pc: RTCPeerConnection, kind: str, *, has_send_time: bool) -> None:
        self._srtp: Any = dtls_of(pc).rtp._key()
        sender: Any = pc.getTransceivers()[0].sender
        parameters = sender.getParameters()
        self._kind = kind
        self._type = parameters.codecs[0].payloadType
        self._ids = {e.uri: e.id for e in parameters.headerExtensions}
        self._mid = str(pc.getTransceivers()[0].mid)
        self._ssrc = next(iter(dtls_of(pc).rtp._senders))
        self._has_send_time = has_send_time
        self._number, self._timestamp, self._wide, self._picture = 100, 1000, 0, 0

    def frame(self) -> list[bytes]:
        """The packets of one picture or piece of sound."""
        is_video = self._kind == "video"
        count = PACKETS if is_video else 1
        self._timestamp += 3000 if is_video else 960
        self._picture = self._picture + 1 & 0x7FFF
        packets = []
        for index in range(count):
            self._number = self._number + 1 & 0xFFFF
            self._wide = self._wide + 1 & 0xFFFF
            elements = [(self._ids[URI_MID], self._mid.encode())]
            if URI_TRANSPORT_CC in self._ids:
                elements.append((self._ids[URI_TRANSPORT_CC], self._wide.to_bytes(2, "big")))
            if self._has_send_time:
                stamp = int(time.time() % 64 * 262144) & 0xFFFFFF
                elements.append((self._ids[URI_ABS_SEND_TIME], stamp.to_bytes(3, "big")))
            if is_video:
                # VP8: a picture id of 15 bits; the first picture is a key frame
                start = bytes((0x90 if not index else 0x80, 0x80)) + (self._picture | 0x8000).to_bytes(
                    2, "big"
                )
                head = bytes((0x10 if self._picture == 1 else 0x11, 2, 0, 0x9D, 1, 0x2A, 128, 2, 224, 1))
                payload = start + (head if not index else b"") + bytes(PAYLOAD)
            else:
                payload = bytes((0x78,)) + bytes(SOUND_PAYLOAD)
            plain = write_rtp(
                self._type,
                is_video and index == count - 1,
                self._number,
                self._timestamp & 0xFFFFFFFF,
                self._ssrc,
                write_extensions(elements),
                payload,
            )
            packets.append(self._srtp.protect(plain, 0, 0))
        return packets


async def fastest(round_of: Callable[[], Awaitable[float]], seconds: float) -> float:
    """The least of what rounds give, over so many seconds."""
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        best = min(best, await round_of())
    return best


def bare_send(size: int, seconds: float) -> float:
    """What the system takes for one datagram, without anything of ours."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
    ):
        receiver.bind(("127.0.0.1", 0))
        address, data = receiver.getsockname(), bytes(size)
        best, end = float("inf"), time.perf_counter() + seconds
        while time.perf_counter() < end:
            began = time.thread_time()
            for _ in range(20):
                sender.sendto(data, address)
            best = min(best, (time.thread_time() - began) / 20)
    return 1e6 * best


async def turn() -> None:
    """What waits for the end of the turn of the loop leaves."""
    await asyncio.sleep(0)


def reduced(sdp: str, without: tuple[str, ...]) -> str:
    """A description without these header extensions."""
    return "\r\n".join(line for line in sdp.split("\r\n") if not any(uri in line for uri in without))


async def published(
    kind: str, *, without: tuple[str, ...] = ()
) -> tuple[RTCPeerConnection, RTCPeerConnection, Publisher]:
    """A publisher and who receives it; the latter is not read."""
    publisher, receiver = RTCPeerConnection(), RTCPeerConnection()
    track = EncodedTrack(kind, "video/VP8" if kind == "video" else "audio/opus")
    publisher.addTransceiver(track, direction="sendonly")
    await connect(publisher, receiver, lambda sdp: reduced(sdp, without))
    has_send_time = URI_TRANSPORT_CC in without
    return publisher, receiver, Publisher(publisher, kind, has_send_time=has_send_time)


async def receive_unread(seconds: float) -> float:
    """A packet of a video that nobody reads, with abs-send-time and our own estimate (REMB)."""
    publisher, receiver, source = await published("video", without=(URI_TRANSPORT_CC,))
    take = dtls_of(receiver)._receive

    async def one_round() -> float:
        packets: list[bytes] = []
        for _ in range(ROUND // PACKETS):
            packets += source.frame()
        began = time.thread_time()
        for packet in packets:
            take(packet)
        return (time.thread_time() - began) / len(packets)

    with Deaf(publisher):
        result = await fastest(one_round, seconds)
    await publisher.close()
    await receiver.close()
    return 1e6 * result


async def forward(kind: str, subscribers: int, seconds: float) -> float:
    """A packet that leaves for one subscriber, of so many."""
    publisher, receiver, source = await published(kind)
    forwarder = Forwarder(receiver.getReceivers()[0])
    relays, ends = [], []
    for _ in range(subscribers):
        relay, end = RTCPeerConnection(), RTCPeerConnection()
        end.addTransceiver(kind, direction="recvonly")
        relays.append(relay)
        ends.append(end)
        await end.setLocalDescription()
        await gathered(end)
        await relay.setRemoteDescription(type="offer", sdp=end.localDescription.sdp)
        relay.getTransceivers()[0].direction = "sendonly"
        forwarder.add(relay.getTransceivers()[0].sender)
        await relay.setLocalDescription()
        await gathered(relay)
        await end.setRemoteDescription(type="answer", sdp=relay.localDescription.sdp)
        await end.connected(timeout=20)
        await relay.connected(timeout=20)
    take = dtls_of(receiver)._receive

    # of each packet of a picture, and of the end of the turn: long rounds are hardly ever undisturbed as a whole
    best: list[float] = []

    async def one_round() -> float:
        packets = source.frame()
        times = [time.thread_time()]
        for packet in packets:
            take(packet)
            times.append(time.thread_time())
        await turn()
        times.append(time.thread_time())
        spent = [after - before for before, after in itertools.pairwise(times)]
        best[:] = map(min, spent, best or spent)
        return sum(best) / len(packets)

    with Deaf(publisher, *ends):
        before = sum(dtls_of(relay)._tx_packets for relay in relays)
        await one_round()
        left = sum(dtls_of(relay)._tx_packets for relay in relays) - before
        expected = subscribers * (PACKETS if kind == "video" else 1)
        if left < expected:
            raise RuntimeError(f"{left} of {expected} packets left")
        result = await fastest(one_round, seconds)
    for pc in (publisher, receiver, *relays, *ends):
        await pc.close()
    return 1e6 * result / subscribers


async def send_encoded(kind: str, seconds: float) -> float:
    """A packet that an `EncodedTrack` gives."""
    pc, end = RTCPeerConnection(), RTCPeerConnection()
    track = EncodedTrack(kind, "video/VP8" if kind == "video" else "audio/opus")
    pc.addTransceiver(track, direction="sendonly")
    await connect(pc, end)
    dtls = dtls_of(pc)
    head = bytes((0x10, 2, 0, 0x9D, 1, 0x2A, 128, 2, 224, 1))
    data = head + bytes(PACKETS * PAYLOAD) if kind == "video" else bytes((0x78,)) + bytes(SOUND_PAYLOAD)
    number = 0

    async def one_round() -> float:
        nonlocal number
        before, spent = dtls._tx_packets, 0.0
        for _ in range(10):
            packet: Any = av.Packet(data)
            packet.pts, packet.time_base, packet.is_keyframe = number * 3000, TIME_BASE, True
            number += 1
            began = time.thread_time()
            await track.write(packet)
            await turn()
            spent += time.thread_time() - began
        return spent / max(1, dtls._tx_packets - before)

    with Deaf(end):
        await one_round()
        result = await fastest(one_round, seconds)
    await pc.close()
    await end.close()
    return 1e6 * result


def main() -> int:
    """Measure; print a line each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--subscribers", type=int, nargs="*", default=[1, 5, 20, 200])
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--json", metavar="FILE", help="write the results there as well")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    results: dict[str, float] = {}

    def note(name: str, measured: float) -> None:
        results[name] = round(measured, 2)
        print(f"{name}: {measured:.2f} us", flush=True)

    print(f"forwarding {'without' if fan_out.gather() is None else 'with'} its helper in C", flush=True)
    note("the system's sendto alone, 1100 bytes", bare_send(1100, options.seconds))
    note("received unread, with abs-send-time, per packet", asyncio.run(receive_unread(options.seconds)))
    for kind in ("video", "audio"):
        note(f"encoded {kind}, per packet out", asyncio.run(send_encoded(kind, options.seconds)))
    for kind in ("video", "audio"):
        for count in options.subscribers:
            cost = asyncio.run(forward(kind, count, options.seconds))
            note(f"forwarded {kind}, 1 -> {count}, per packet out", cost)
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())

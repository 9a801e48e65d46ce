"""Two ends over a pair of pipes, with listeners that write down what they are told."""

from __future__ import annotations

import asyncio
import fractions
from dataclasses import dataclass, field
from typing import Any

import av

from rtcpeer.dtls.certificates import Certificate
from rtcpeer.dtls.transport import DtlsTransport
from rtcpeer.media.aiortc_adapter import MediaStreamError
from rtcpeer.media.track import MediaStreamTrack
from rtcpeer.sctp.transport import DataChannel, DataTransport
from rtcpeer.values import DtlsRole, DtlsTransportState, SctpTransportState
from tests.unit.media.pipes import Pipe, pipe_pair, until


class ChannelLog:
    def __init__(self) -> None:
        self.messages: list[str | bytes] = []
        self.events: list[Any] = []
        self.size = 0
        self.keep = True
        self.on_low = lambda: None

    def on_open(self) -> None:
        self.events.append("open")

    def on_message(self, data: str | bytes) -> None:
        self.size += len(data)
        if self.keep:
            self.messages.append(data)

    def on_buffered_amount_low(self) -> None:
        self.events.append("low")
        self.on_low()

    def on_closing(self) -> None:
        self.events.append("closing")

    def on_closed(self, error) -> None:
        self.events.append(("closed", error))


@dataclass
class End:
    """One end: its pipe, DTLS, SCTP and what they said."""

    pipe: Pipe
    certificate: Certificate
    states: list[tuple[DtlsTransportState, Any]] = field(default_factory=list)
    sctp_states: list[tuple[SctpTransportState, Any]] = field(default_factory=list)
    channels: list[DataChannel] = field(default_factory=list)
    logs: list[ChannelLog] = field(default_factory=list)
    alternatives: tuple[Certificate, ...] = ()
    resting_ids: int = 0

    def __post_init__(self) -> None:
        self.dtls = DtlsTransport(
            self.pipe, self.certificate, self, alternatives=self.alternatives, name=self.pipe.role.value
        )
        self.data = DataTransport(self, resting_ids=self.resting_ids, name=self.pipe.role.value)

    def on_dtls_state(self, state, error) -> None:
        self.states.append((state, error))

    def on_sctp_state(self, state, error) -> None:
        self.sctp_states.append((state, error))

    def on_channel(self, channel) -> None:
        log = ChannelLog()
        channel.listener = log
        self.channels.append(channel)
        self.logs.append(log)

    async def stop(self) -> None:
        await self.data.stop()
        await self.dtls.stop()


def make_ends(
    first: Certificate | None = None, second: Certificate | None = None, *, resting_ids: int = 0
) -> tuple[End, End]:
    certificates = first or Certificate.generate(), second or Certificate.generate()
    a, b = (
        End(pipe, one, resting_ids=resting_ids) for pipe, one in zip(pipe_pair(), certificates, strict=True)
    )
    return a, b


def start(one: End, other: End, role: DtlsRole = DtlsRole.SERVER) -> None:
    opposite = DtlsRole.CLIENT if role is DtlsRole.SERVER else DtlsRole.SERVER
    one.dtls.start(role, other.certificate.fingerprints)
    other.dtls.start(opposite, one.certificate.fingerprints)


async def connect(one: End, other: End) -> None:
    start(one, other)
    await until(lambda: one.dtls.is_connected and other.dtls.is_connected)


async def connect_data(one: End, other: End) -> None:
    for end in (one, other):
        end.data.attach(end.dtls)
        end.data.start(5000, 262144)
    await connect(one, other)
    await until(lambda: one.data.state is other.data.state is SctpTransportState.CONNECTED)


class Pictures(MediaStreamTrack):
    """Pictures of one grey, as fast as they are asked for or at a pace."""

    kind = "video"

    def __init__(self, width=64, height=48, *, grey=100, interval=0.005, count=10**9) -> None:
        super().__init__()
        self.width, self.height, self.grey = width, height, grey
        self.interval, self.count, self.given = interval, count, 0

    async def recv(self):
        if self.given >= self.count:
            raise MediaStreamError
        await asyncio.sleep(self.interval)
        frame = av.VideoFrame(self.width, self.height, "yuv420p")
        for index, plane in enumerate(frame.planes):
            plane.update(bytes((self.grey if index == 0 else 128,)) * plane.buffer_size)
        frame.pts = self.given * 3000
        frame.time_base = fractions.Fraction(1, 90000)
        self.given += 1
        return frame


class Tone(MediaStreamTrack):
    """A square wave of 20 ms frames."""

    kind = "audio"

    def __init__(self, rate=48000, layout="mono", fmt="s16", level=8000, interval=0.004) -> None:
        super().__init__()
        self.rate, self.layout, self.fmt, self.level = rate, layout, fmt, level
        self.interval, self.given = interval, 0

    async def recv(self):
        await asyncio.sleep(self.interval)
        samples = self.rate // 50
        frame = av.AudioFrame(format=self.fmt, layout=self.layout, samples=samples)
        wave = self.level.to_bytes(2, "little") * 24 + (-self.level & 0xFFFF).to_bytes(2, "little") * 24
        for plane in frame.planes:
            size = plane.buffer_size
            plane.update(
                (wave * (size // len(wave) + 1))[:size] if self.fmt.startswith("s16") else bytes(size)
            )
        frame.sample_rate = self.rate
        frame.pts = self.given * samples
        frame.time_base = fractions.Fraction(1, self.rate)
        self.given += 1
        return frame

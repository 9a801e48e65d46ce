"""A participant with LiveKit's own Python SDK (libwebrtc inside): what it publishes, hears, sees and is told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from rtcpeer.media.scheduling import ordinary_scheduling

rtc = pytest.importorskip("livekit.rtc", reason="the livekit SDK is not installed: pip install livekit")

EVENTS = (
    "connected",
    "reconnecting",
    "reconnected",
    "disconnected",
    "track_muted",
    "track_unmuted",
    "track_subscribed",
    "track_unsubscribed",
    "participant_connected",
    "participant_disconnected",
    "participant_metadata_changed",
    "participant_attributes_changed",
    "participant_permissions_changed",
    "active_speakers_changed",
    "room_metadata_changed",
)


class SdkParticipant:
    """One participant.

    Attributes:
        room: the SDK's.
        events: names of what it was told, in order.
        data: (payload, topic, identity of the sender) of data packets.
        tracks: what it gets, by (identity, kind): 1 is sound, 2 is pictures.
        loudness: the mean of the last samples heard, by identity.
        picture: (width, height, mean luma) of the last picture seen, by identity.
        speakers: identities of those who were named as speakers.
        published: (identity, name) of tracks that others have published.
    """

    def __init__(self) -> None:
        self.room = rtc.Room()
        self.events: list[str] = []
        self.data: list[tuple[bytes, str | None, str | None]] = []
        self.tracks: dict[tuple[str, int], Any] = {}
        self.loudness: dict[str, float] = {}
        self.picture: dict[str, tuple[int, int, float]] = {}
        self.speakers: set[str] = set()
        self.published: list[tuple[str, str]] = []
        self.reason: int | None = None
        self._tasks: list[asyncio.Task[None]] = []
        for name in EVENTS:
            self.room.on(name, lambda *_, name=name: self.events.append(name))
        self.room.on("track_subscribed", self._on_track)
        self.room.on("track_published", lambda one, who: self.published.append((who.identity, one.name)))
        self.room.on("data_received", self._on_data)
        self.room.on("disconnected", lambda reason: setattr(self, "reason", reason))
        self.room.on("active_speakers_changed", lambda who: self.speakers.update(p.identity for p in who))

    def _on_data(self, packet: Any) -> None:
        sender = packet.participant.identity if packet.participant else None
        self.data.append((bytes(packet.data), packet.topic, sender))

    def _on_track(self, track: Any, _publication: Any, participant: Any) -> None:
        identity = participant.identity
        self.tracks[identity, int(track.kind)] = track
        reader = self._hear if track.kind == rtc.TrackKind.KIND_AUDIO else self._see
        self._tasks.append(asyncio.create_task(reader(track, identity)))

    async def _hear(self, track: Any, identity: str) -> None:
        async with contextlib.aclosing(rtc.AudioStream(track)) as stream:
            async for event in stream:
                samples = np.frombuffer(event.frame.data, dtype=np.int16)
                self.loudness[identity] = float(np.abs(samples.astype(np.int32)).mean())

    async def _see(self, track: Any, identity: str) -> None:
        async with contextlib.aclosing(rtc.VideoStream(track)) as stream:
            async for event in stream:
                frame = event.frame.convert(rtc.VideoBufferType.I420)
                size = frame.width * frame.height
                luma = float(np.frombuffer(frame.data[:size], dtype=np.uint8).mean())
                self.picture[identity] = (frame.width, frame.height, luma)

    async def publish(self, *, luma: int = 180, codec: str = "VP8") -> tuple[Any, Any]:
        """Publish a tone and grey pictures of 320 x 240; the publications."""
        sound, camera = rtc.AudioSource(48_000, 1), rtc.VideoSource(320, 240)
        self._tasks.append(asyncio.create_task(self._feed(sound, camera, luma)))
        options = rtc.TrackPublishOptions
        microphone = await self.room.local_participant.publish_track(
            rtc.LocalAudioTrack.create_audio_track("microphone", sound),
            options(source=rtc.TrackSource.SOURCE_MICROPHONE),
        )
        pictures = await self.room.local_participant.publish_track(
            rtc.LocalVideoTrack.create_video_track("camera", camera),
            options(source=rtc.TrackSource.SOURCE_CAMERA, video_codec=rtc.VideoCodec.Value(codec)),
        )
        return microphone, pictures

    async def _feed(self, sound: Any, camera: Any, luma: int) -> None:
        tone = (np.sin(2 * np.pi * 500 * np.arange(960) / 48_000) * 12_000).astype(np.int16).tobytes()
        picture = bytes([luma]) * (320 * 240) + bytes([128]) * (320 * 240 // 2)
        while True:
            await sound.capture_frame(rtc.AudioFrame(tone, 48_000, 1, 960))
            await sound.capture_frame(rtc.AudioFrame(tone, 48_000, 1, 960))
            camera.capture_frame(rtc.VideoFrame(320, 240, rtc.VideoBufferType.I420, picture))

    async def close(self) -> None:
        """Leave, and stop what reads and feeds."""
        await self.room.disconnect()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def sdk_participant(
    url: str, token: str, *, single: bool = True, auto_subscribe: bool = True
) -> AsyncIterator[SdkParticipant]:
    """Join with one connection for both directions, or with two."""
    with ordinary_scheduling():  # the library's threads would have a real-time policy, where that is allowed
        participant = SdkParticipant()
        try:
            await participant.room.connect(
                url,
                token,
                options=rtc.RoomOptions(
                    single_peer_connection=single, auto_subscribe=auto_subscribe, connect_timeout=20.0
                ),
            )
            yield participant
        finally:
            await participant.close()

"""How a track of ours is published in a LiveKit room: its source, its simulcast layers, which of them are sent.

Owns: the table of layers. Never: a connection.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from rtcpeer.calls.participant import Publication
from rtcpeer.records import record
from rtcpeer.signaling.livekit.messages import models, rtc

# (rid, quality, how many times smaller, bit/s)
_LAYERS = (
    ("q", models.VideoQuality.LOW, 4, 150_000),
    ("h", models.VideoQuality.MEDIUM, 2, 500_000),
    ("f", models.VideoQuality.HIGH, 1, 1_700_000),
)


@record(eq=False)
class Published:
    """A track of ours that the server knows.

    Attributes:
        cid: what we call it.
        info: what the server says of it; empty until it has answered.
        transceiver: the section that carries it; None until then.
    """

    cid: str
    info: models.TrackInfo = field(default_factory=models.TrackInfo)
    transceiver: Any = None


def source_of(publication: Publication) -> models.TrackSource:
    """The source that the others are told a track shows: by its name, else by its kind."""
    if "screen" in publication.name:
        is_sound = publication.kind == "audio"
        return models.TrackSource.SCREEN_SHARE_AUDIO if is_sound else models.TrackSource.SCREEN_SHARE
    if publication.kind == "audio":
        return models.TrackSource.MICROPHONE
    return models.TrackSource.CAMERA


def encodings_for(track: Any, simulcast: bool | None) -> list[dict[str, Any]]:
    """The encodings of a track: several only for pictures; without a wish two from 480 lines on, three from 720 on."""
    if track.kind != "video" or simulcast is False:
        return []
    settings = track.getSettings() if hasattr(track, "getSettings") else {}
    height = int(settings.get("height") or 0)
    count = 3 if simulcast or height >= 720 else 2 if height >= 480 else 1
    if count == 1:
        return []
    return [
        {"rid": rid, "scaleResolutionDownBy": scale, "maxBitrate": bitrate}
        for (rid, _, _, bitrate), (_, _, scale, _) in zip(_LAYERS[:count], _LAYERS[-count:], strict=True)
    ]


def wanted_of(update: rtc.SubscribedQualityUpdate) -> set[int]:
    """The qualities of a track that somebody is subscribed to, in whatever codec."""
    codecs = [one.qualities for one in update.subscribed_codecs] or [update.subscribed_qualities]
    return {one.quality for qualities in codecs for one in qualities if one.enabled}


async def send_only(sender: Any, wanted: set[int]) -> None:
    """Send the layers of these qualities alone; what is not sent is not encoded."""
    parameters = sender.getParameters()
    qualities = {rid: quality for rid, quality, _, _ in _LAYERS}
    for encoding in parameters.encodings:
        encoding.active = qualities[encoding.rid] in wanted if encoding.rid in qualities else bool(wanted)
    await sender.setParameters(parameters)


def layers_of(encodings: list[dict[str, Any]], settings: Mapping[str, Any]) -> list[models.VideoLayer]:
    """The same as the server wants to be told."""
    width, height = int(settings.get("width") or 1280), int(settings.get("height") or 720)
    qualities = {rid: quality for rid, quality, _, _ in _LAYERS}
    return [
        models.VideoLayer(
            quality=qualities[one["rid"]],
            rid=one["rid"],
            width=width // one["scaleResolutionDownBy"],
            height=height // one["scaleResolutionDownBy"],
            bitrate=one["maxBitrate"],
        )
        for one in encodings
    ]

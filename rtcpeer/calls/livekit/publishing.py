"""Our tracks in a LiveKit room: published, muted, taken out; their sources, their simulcast layers, which are sent.

Owns: what we publish and what the server calls it; the table of layers. Never: a connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import field
from typing import Any

from rtcpeer.calls.livekit.media import LiveKitMedia
from rtcpeer.calls.livekit.requests import Requests
from rtcpeer.calls.participant import Publication
from rtcpeer.errors import InvalidStateError, NetworkError, RtcPeerError, SignalingRefused
from rtcpeer.records import record
from rtcpeer.signaling.livekit.messages import models, rtc

# Seconds before a track that nobody has answered for is published again in a new session.
_PAUSES = (1.0, 2.0, 5.0, 10.0)
# (rid, quality, how many times smaller, bit/s)
_LAYERS = (
    ("q", models.VideoQuality.LOW, 4, 150_000),
    ("h", models.VideoQuality.MEDIUM, 2, 500_000),
    ("f", models.VideoQuality.HIGH, 1, 1_700_000),
)


@record(eq=False)
class Published:
    """A track of ours in the session in force.

    Attributes:
        cid: what we call it; "" until the server is asked.
        info: what the server says of it; empty until it has answered.
        transceiver: the section that carries it; None until then.
    """

    cid: str = ""
    info: models.TrackInfo = field(default_factory=models.TrackInfo)
    transceiver: Any = None


class Publications:
    """The tracks that we publish, over all sessions of a call.

    Args:
        requests: where the server's answers arrive.
        send: sends a request.
        simulcast: True: pictures in three sizes; False: in one; None: it depends on their size.
        dynacast: whether layers that nobody is subscribed to are not sent.
    """

    def __init__(
        self,
        requests: Requests,
        send: Callable[[rtc.SignalRequest], Awaitable[None]],
        *,
        simulcast: bool | None,
        dynacast: bool,
    ) -> None:
        self._requests = requests
        self._send = send
        self._simulcast = simulcast
        self._dynacast = dynacast
        self._media: LiveKitMedia | None = None
        self._published: dict[Publication, Published] = {}

    def begin(self, media: LiveKitMedia | None) -> None:
        """The connections of a new session; None while it is being made."""
        self._media = media
        for publication in self._published:
            self._published[publication] = Published()  # what there was went with the former session

    # -- what the call asks for ------------------------------------------------------------------------

    async def publish(self, publication: Publication) -> None:
        """Publish a track.

        Raises:
            SignalingRefused, RTCTimeoutError, NetworkError: the server does not take it.
        """
        try:
            await self._publish(publication)
        except BaseException:
            self._published.pop(publication, None)
            raise

    async def _publish(self, publication: Publication) -> None:
        media = self._media
        if media is None:
            raise NetworkError("the session is being made anew: publish again when it is there")
        track, cid = publication.track, str(uuid.uuid4())
        encodings = encodings_for(track, self._simulcast)
        settings = track.getSettings() if hasattr(track, "getSettings") else {}
        wanted = rtc.AddTrackRequest(
            cid=cid,
            name=publication.name,
            type=models.TrackType.AUDIO if publication.kind == "audio" else models.TrackType.VIDEO,
            source=source_of(publication),
            muted=publication.muted,
            width=int(settings.get("width") or 0),
            height=int(settings.get("height") or 0),
            layers=layers_of(encodings, settings),
        )
        published = self._published[publication] = Published(cid)
        request = rtc.SignalRequest(add_track=wanted)
        published.info = await self._requests.ask(cid, self._send(request), "publishing a track")
        if media is not self._media or self._published.get(publication) is not published:
            return  # it was made anew or taken out meanwhile
        transceiver = published.transceiver = media.add(track, cid, encodings)
        try:
            if publication.muted:
                await transceiver.sender.replaceTrack(None)
            await media.offer()
        except BaseException:
            published.transceiver = None
            with contextlib.suppress(InvalidStateError):  # closed meanwhile
                transceiver.stop()  # else a later offer would publish it all the same
            raise
        if publication.muted != wanted.muted:
            await self.set_muted(publication)

    async def publish_again(self, ignored: Callable[[str, object], object]) -> None:
        """Publish everything in a new session; where nobody answers, again after growing pauses.

        Args:
            ignored: called where a track is not taken.
        """
        media, left = self._media, list(self._published)
        for pause in (*_PAUSES, None):
            for publication in tuple(left):
                if publication not in self._published or media is not self._media:
                    left.remove(publication)  # taken out, or left to the next session
                    continue
                try:
                    await self._publish(publication)
                except SignalingRefused as error:
                    ignored("publishing again", error)
                except RtcPeerError as error:
                    ignored("publishing again", error)
                    continue
                left.remove(publication)
            if not left or pause is None:
                return
            await asyncio.sleep(pause)

    async def unpublish(self, publication: Publication) -> None:
        """Publish a track no longer."""
        published = self._published.pop(publication, None)
        if published is not None and published.transceiver is not None and self._media is not None:
            published.transceiver.stop()
            await self._media.offer()

    async def set_muted(self, publication: Publication) -> None:
        """Send nothing of a muted track, and say so."""
        published = self._published.get(publication)
        if published is None or published.transceiver is None:
            return
        await published.transceiver.sender.replaceTrack(None if publication.muted else publication.track)
        mute = rtc.MuteTrackRequest(sid=published.info.sid, muted=publication.muted)
        await self._send(rtc.SignalRequest(mute=mute))

    def permissions(self, allowed: Mapping[str, Iterable[str] | None]) -> list[rtc.TrackPermission]:
        """Permissions to subscribe, as the server wants to be told them.

        Args:
            allowed: the names of tracks by identity; None: all tracks.
        """
        sids = {
            publication.name: one.info.sid for publication, one in self._published.items() if one.info.sid
        }
        return [
            rtc.TrackPermission(
                participant_identity=identity,
                all_tracks=names is None,
                track_sids=[sids[name] for name in names or () if name in sids],
            )
            for identity, names in allowed.items()
        ]

    # -- what the server says --------------------------------------------------------------------------

    def told(self) -> list[rtc.TrackPublishedResponse]:
        """Our tracks, as a server that resumes a session is told of them."""
        known = [one for one in self._published.values() if one.info.sid]
        return [rtc.TrackPublishedResponse(cid=one.cid, track=one.info) for one in known]

    async def taken_out(self, sid: str) -> None:
        """The server takes a track of ours no longer; of one that we have unpublished ourselves nothing is left."""
        for publication, published in tuple(self._published.items()):
            if sid and published.info.sid == sid:
                await publication.unpublish()

    async def moderated(self, sid: str, *, muted: bool) -> None:
        """A moderator has muted a track of ours, or lets it be heard."""
        for publication, published in tuple(self._published.items()):
            if sid and published.info.sid == sid:
                await (publication.mute() if muted else publication.unmute())

    async def subscribed(self, update: rtc.SubscribedQualityUpdate) -> None:
        """Somebody wants other layers of a track of ours than before."""
        for published in tuple(self._published.values()):
            if (
                self._dynacast
                and published.info.sid == update.track_sid
                and published.transceiver is not None
            ):
                await send_only(published.transceiver.sender, wanted_of(update))


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
    """The layers that the server is told of for these encodings."""
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

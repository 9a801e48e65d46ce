"""Our tracks in a LiveKit room: what the server is asked, and what its words do to them, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from rtcpeer.calls.livekit.publishing import Publications, encodings_for, layers_of, source_of
from rtcpeer.calls.livekit.requests import Requests
from rtcpeer.calls.livekit.room import LiveKitRoom
from rtcpeer.calls.participant import Publication
from rtcpeer.calls.request import JoinRequest
from rtcpeer.errors import NetworkError, RTCTimeoutError, SignalingRefused
from rtcpeer.signaling.livekit.messages import models, rtc


class Track:
    def __init__(self, kind: str = "audio", height: int = 0) -> None:
        self.kind = kind
        self._height = height

    def getSettings(self) -> dict[str, int]:
        return {"width": self._height * 16 // 9, "height": self._height}


class Sender:
    def __init__(self, rids: tuple[str | None, ...] = (None,)) -> None:
        self.tracks: list[Any] = []
        self.encodings = [SimpleNamespace(rid=rid, active=True) for rid in rids]

    async def replaceTrack(self, track: Any) -> None:
        self.tracks.append(track)

    def getParameters(self) -> Any:
        return SimpleNamespace(encodings=self.encodings)

    async def setParameters(self, parameters: Any) -> None:
        assert parameters.encodings is self.encodings


class Media:
    """Takes tracks, and counts offers."""

    def __init__(self) -> None:
        self.offers = 0
        self.added: list[Any] = []

    def add(self, track: Any, cid: str, encodings: list[dict[str, Any]]) -> Any:
        sender = Sender(tuple(one["rid"] for one in encodings) or (None,))
        self.added.append(SimpleNamespace(track=track, cid=cid, sender=sender, stopped=False))
        self.added[-1].stop = lambda one=self.added[-1]: setattr(one, "stopped", True)
        return self.added[-1]

    async def offer(self) -> None:
        self.offers += 1


class Server:
    """Answers what it is asked; `refuses` says no, `meanwhile` is called before an answer."""

    def __init__(self, **options: Any) -> None:
        self.asked: list[rtc.SignalRequest] = []
        self.refuses = False
        self.meanwhile: Any = lambda: None
        self.requests = Requests()
        self.publications = Publications(
            self.requests,
            self.send,
            simulcast=options.get("simulcast"),
            dynacast=options.get("dynacast", False),
        )
        self.media: Any = Media()
        self.publications.begin(self.media)

    async def send(self, request: rtc.SignalRequest) -> None:
        self.asked.append(request)
        await asyncio.sleep(0)
        if request.HasField("add_track"):
            self.meanwhile()
            add = request.add_track
            if self.refuses:
                self.requests.refuse(add.cid, SignalingRefused("no"))
            else:
                self.requests.answer(add.cid, models.TrackInfo(sid=f"TR_{add.name}"))

    def publication(self, name: str, track: Any = None) -> Publication:
        return Publication(
            track or Track(),  # type: ignore[arg-type]
            name,
            unpublish=self.publications.unpublish,
            mute=self.publications.set_muted,
        )

    async def published(self, name: str, track: Any = None) -> Publication:
        publication = self.publication(name, track)
        await self.publications.publish(publication)
        return publication


async def test_a_track_is_asked_for_and_added():
    server = Server()
    voice = await server.published("voice")
    assert (server.asked[0].add_track.name, server.asked[0].add_track.type) == (
        "voice",
        models.TrackType.AUDIO,
    )
    assert server.media.added[0].track is voice.track
    assert server.media.offers == 1
    assert [one.track.sid for one in server.publications.told()] == ["TR_voice"]


async def test_a_track_that_is_muted_before_sends_nothing():
    server = Server()
    voice = server.publication("voice")
    voice._muted = True
    await server.publications.publish(voice)
    assert server.asked[0].add_track.muted
    assert server.media.added[0].sender.tracks == [None]


@pytest.mark.parametrize("muted", [True, False])
async def test_a_track_that_is_muted_while_the_server_is_asked(muted):
    """The request has said something else."""
    server = Server()
    voice = server.publication("voice")
    voice._muted = not muted
    server.meanwhile = lambda: setattr(voice, "_muted", muted)
    await server.publications.publish(voice)
    assert server.media.added[0].sender.tracks[-1:] == [None if muted else voice.track]
    said = server.asked[-1].mute
    assert (said.sid, said.muted) == ("TR_voice", muted)


async def test_a_refused_track_leaves_nothing():
    server = Server()
    server.refuses = True
    voice = server.publication("voice")
    with pytest.raises(SignalingRefused):
        await server.publications.publish(voice)
    assert server.publications.told() == []
    await server.publications.unpublish(voice)
    await server.publications.set_muted(voice)
    assert (len(server.asked), server.media.offers) == (1, 0)


async def test_without_a_session_nothing_is_published():
    server = Server()
    server.publications.begin(None)
    with pytest.raises(NetworkError, match="publish again"):
        await server.published("voice")
    assert server.asked == []


async def test_a_track_that_is_taken_back_before_the_answer_is_not_sent():
    server = Server()
    voice = server.publication("voice")
    server.meanwhile = lambda: server.publications._published.pop(voice)
    await server.publications.publish(voice)
    assert server.media.added == []


async def test_a_session_that_ends_before_the_answer_gets_no_track():
    server = Server()
    server.meanwhile = lambda: server.publications.begin(Media())  # type: ignore[arg-type]
    await server.published("voice")
    assert server.media.added == []


async def test_everything_is_published_again_but_what_is_refused():
    server = Server()
    await server.published("voice")
    await server.published("face", Track("video"))
    server.publications.begin(fresh := Media())  # type: ignore[arg-type]
    told: list[Any] = []
    await server.publications.publish_again(lambda what, error: told.append(what))
    assert [one.track.kind for one in fresh.added] == ["audio", "video"]
    server.refuses = True
    await server.publications.publish_again(lambda what, error: told.append(what))
    assert told == ["publishing again", "publishing again"]


async def test_what_nobody_has_answered_for_is_published_again(monkeypatch):
    monkeypatch.setattr("rtcpeer.calls.livekit.publishing._PAUSES", (0.0, 0.0))
    server = Server()
    await server.published("voice")
    await server.published("face", Track("video"))
    server.publications.begin(fresh := Media())  # type: ignore[arg-type]
    asking, failures = server.requests.ask, [RTCTimeoutError("no answer"), NetworkError("lost")]

    async def ask(key: Any, sending: Any, what: str) -> Any:
        if failures and what == "publishing a track" and not fresh.added:
            sending.close()
            raise failures.pop()
        return await asking(key, sending, what)

    monkeypatch.setattr(server.requests, "ask", ask)
    told: list[Any] = []
    await server.publications.publish_again(lambda what, error: told.append(what))
    assert sorted(one.track.kind for one in fresh.added) == ["audio", "video"]
    assert told == ["publishing again", "publishing again"]


async def test_a_track_whose_offer_has_failed_is_sent_once(monkeypatch):
    """What is published again after it, or after the session goes on, is no second copy."""
    monkeypatch.setattr("rtcpeer.calls.livekit.publishing._PAUSES", (0.0,))
    server = Server()
    await server.published("voice")
    server.publications.begin(fresh := Media())  # type: ignore[arg-type]
    offering = fresh.offer

    async def fails() -> None:
        fresh.offer = offering  # type: ignore[method-assign]
        raise NetworkError("lost")

    fresh.offer = fails  # type: ignore[method-assign]
    await server.publications.publish_again(lambda *_: None)
    assert [one.stopped for one in fresh.added] == [True, False]
    fresh.offer = fails  # type: ignore[method-assign]
    with pytest.raises(NetworkError):
        await server.published("face", Track("video"))
    assert [one.stopped for one in fresh.added] == [True, False, True]


async def test_what_was_published_in_a_former_session_is_not_there_until_it_is_published_again():
    """Its section and its sid went with the session."""
    server = Server()
    voice, former = await server.published("voice"), server.media
    server.publications.begin(fresh := Media())  # type: ignore[arg-type]
    assert server.publications.told() == []
    assert not server.publications.permissions({"eve": ["voice"]})[0].track_sids
    await server.publications.set_muted(voice)
    await server.publications.moderated("", muted=True)
    await server.publications.unpublish(voice)
    assert (former.added[0].sender.tracks, former.added[0].stopped, fresh.offers) == ([], False, 0)
    await server.publications.publish_again(lambda *_: None)
    assert fresh.added == []


async def test_what_is_published_again_is_left_to_the_next_session(monkeypatch):
    monkeypatch.setattr("rtcpeer.calls.livekit.publishing._PAUSES", (0.0, 0.0))
    server = Server()
    await server.published("voice")
    server.publications.begin(None)
    told: list[Any] = []

    def ignored(what: str, _error: object) -> None:
        told.append(what)
        server.publications.begin(Media())  # type: ignore[arg-type]

    await server.publications.publish_again(ignored)
    assert told == ["publishing again"]


async def test_what_was_subscribed_to_may_come_into_a_new_session_after_us(monkeypatch):
    room = LiveKitRoom(JoinRequest("http://example.org/", token="t"))
    asked: list[str] = []

    async def ask_for(_identity: str, name: str, *, wanted: bool) -> bool:
        asked.append(name)
        return len(asked) > 2

    monkeypatch.setattr(room, "_ask_for", ask_for)
    room._state_or_none = SimpleNamespace(update=lambda _: None)  # type: ignore[assignment]
    room._wanted.add(("eve", "camera"))
    room._waiting = set(room._wanted)
    for _ in range(5):
        await room._on_update(rtc.ParticipantUpdate())
    assert asked == ["camera"] * 3, "until it is there, and then no more"


async def test_a_moderator_mutes_one_track():
    server = Server()
    voice, other = await server.published("voice"), await server.published("other")
    await server.publications.moderated("TR_voice", muted=True)
    assert (voice.muted, other.muted) == (True, False)
    await server.publications.moderated("TR_voice", muted=False)
    assert server.media.added[0].sender.tracks == [None, voice.track]


async def test_tracks_may_come_and_go_while_a_moderator_mutes():
    server = Server()
    await server.published("voice")
    other = await server.published("other")
    muting = asyncio.ensure_future(server.publications.moderated("TR_voice", muted=True))
    await asyncio.sleep(0)  # it waits for the socket
    assert not muting.done()
    await server.publications.unpublish(other)
    await muting


async def test_wishes_may_change_while_a_session_is_made_anew(monkeypatch):
    room = LiveKitRoom(JoinRequest("http://example.org/", token="t"))
    asked: list[str] = []

    async def ask_for(_identity: str, name: str, *, wanted: bool) -> bool:
        asked.append(name)
        room._wanted.discard(("eve", "c"))
        return True

    async def join() -> None:
        pass

    monkeypatch.setattr(room, "_ask_for", ask_for)
    monkeypatch.setattr(room, "_join", join)
    room._state_or_none = SimpleNamespace(keep_tracks=lambda: None)  # type: ignore[assignment]
    room._host_or_none = SimpleNamespace(spawn=lambda work, _: work.close(), ignored=None)  # type: ignore[assignment]
    room._wanted.update({("eve", "a"), ("eve", "b"), ("eve", "c")})
    await room._renew()
    assert {"a", "b"} <= set(asked)


async def test_the_server_takes_a_track_out():
    server = Server()
    await server.published("voice")
    await server.publications.taken_out("")
    await server.publications.taken_out("TR_unknown")
    assert not server.media.added[0].stopped
    await server.publications.taken_out("TR_voice")
    assert server.media.added[0].stopped
    assert server.publications.told() == []


def wanted(sid: str, *qualities: int) -> rtc.SubscribedQualityUpdate:
    return rtc.SubscribedQualityUpdate(
        track_sid=sid,
        subscribed_qualities=[rtc.SubscribedQuality(quality=one, enabled=True) for one in qualities],
    )


@pytest.mark.parametrize("dynacast", [False, True])
async def test_layers_that_nobody_wants(dynacast):
    server = Server(dynacast=dynacast)
    await server.published("face", Track("video", 720))
    await server.published("small", Track("video", 240))
    await server.publications.subscribed(wanted("TR_face", models.VideoQuality.MEDIUM))
    await server.publications.subscribed(wanted("TR_small"))
    face, small = [[one.active for one in added.sender.encodings] for added in server.media.added]
    assert face == ([False, True, False] if dynacast else [True, True, True])
    assert small == [not dynacast]


async def test_permissions_name_what_is_published():
    server = Server()
    await server.published("voice")
    given = server.publications.permissions({"eve": ["voice", "unknown"], "bob": None, "mallory": []})
    assert [(one.participant_identity, one.all_tracks, list(one.track_sids)) for one in given] == [
        ("eve", False, ["TR_voice"]),
        ("bob", True, []),
        ("mallory", False, []),
    ]


@pytest.mark.parametrize(
    ("height", "simulcast", "scales"),
    [
        (1080, None, [4, 2, 1]),
        (720, None, [4, 2, 1]),
        (719, None, [2, 1]),
        (480, None, [2, 1]),
        (479, None, []),
        (240, True, [4, 2, 1]),
        (1080, False, []),
    ],
)
def test_how_many_sizes(height, simulcast, scales):
    encodings = encodings_for(Track("video", height), simulcast)
    assert [one["scaleResolutionDownBy"] for one in encodings] == scales
    settings = {"width": 1280, "height": 720}
    assert [one.height for one in layers_of(encodings, settings)] == [720 // scale for scale in scales]


def test_sound_has_one_size():
    assert encodings_for(Track("audio"), True) == []


@pytest.mark.parametrize(
    ("name", "kind", "source"),
    [
        ("voice", "audio", models.TrackSource.MICROPHONE),
        ("face", "video", models.TrackSource.CAMERA),
        ("my screen", "video", models.TrackSource.SCREEN_SHARE),
        ("screen", "audio", models.TrackSource.SCREEN_SHARE_AUDIO),
    ],
)
def test_sources(name, kind, source):
    assert source_of(Server().publication(name, Track(kind))) == source

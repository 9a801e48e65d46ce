"""A scripted fake of each service of calls, on top of `misbehaviour`: honest but for one step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from tests.unit.calls.misbehaviour import Fake, Frame, falsify

messages = pytest.importorskip(
    "rtcpeer.signaling.livekit.messages", reason="the extra livekit is not installed"
)
tokens = pytest.importorskip("rtcpeer.signaling.livekit.tokens", reason="the extra livekit is not installed")
models, rtc = messages.models, messages.rtc

# a whole offer of a data channel, from nobody
OFFER = "\r\n".join(
    (
        "v=0",
        "o=- 4611731400430051336 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "c=IN IP4 0.0.0.0",
        "a=ice-ufrag:abcd",
        "a=ice-pwd:abcdefghijklmnopqrstuvwx",
        "a=fingerprint:sha-256 " + ":".join(["AB"] * 32),
        "a=setup:actpass",
        "a=mid:0",
        "a=sctp-port:5000",
        "a=max-message-size:262144",
        "",
    )
)
ANSWER = OFFER.replace("actpass", "active")


CANDIDATE = {"candidate": "candidate:1 1 udp 1 127.0.0.1 9 typ host", "sdpMid": "0", "sdpMLineIndex": 0}


async def texts(socket: web.WebSocketResponse) -> Any:
    """The text messages of a client, until it ends or says something else."""
    async for message in socket:
        if message.type != WSMsgType.TEXT:
            return
        yield message.data


class FakeRooms(Fake):
    """A room server."""

    steps = ("entered", "joined", "message", "news", "left")
    scheme, path = "room+ws", "/?room=x"
    unknown = '{"type": "what", "is": "this"}'

    async def run(self, socket: web.WebSocketResponse) -> None:
        await socket.receive()

        def member(id: str) -> dict[str, Any]:
            return {"id": id, "name": id.upper(), "metadata": {"m": 1}, "away": False}

        entered = {
            "type": "entered",
            "room": "x",
            "id": "me",
            "token": "t",
            "opened": False,
            "resumed": False,
        }
        rest = {"received": 0, "seq": 0, "members": [member("a")], "iceServers": [], "ttl": None}
        await self.say(socket, "entered", json.dumps(entered | rest))
        await self.say(socket, "joined", json.dumps({"type": "joined", "member": member("b")}))
        offer = {"type": "message", "from": "b", "message": {"type": "offer", "sdp": OFFER}}
        await self.say(socket, "message", json.dumps(offer))
        news: tuple[dict[str, Any], ...] = (
            {"type": "metadata", "id": "a", "metadata": {"m": 2}},
            {"type": "broadcast", "from": "a", "message": {"hello": 1}},
            {"type": "away", "id": "b"},
            {"type": "back", "id": "b"},
            {"type": "iceServers", "iceServers": [{"urls": "stun:127.0.0.1:9"}], "ttl": 60},
            {"type": "members", "members": [member("a"), member("b")]},
            {"type": "lost", "to": "a", "reason": "no-member"},
            {"type": "ack", "seq": 0},
            {"type": "error", "code": "rate", "reason": "too many"},
            {"type": "close", "from": "b"},
        )
        await self.say(socket, "news", *map(json.dumps, news))
        await self.say(socket, "left", json.dumps({"type": "left", "id": "a", "reason": "left"}))
        async for _ in texts(socket):
            pass


class FakeJanus(Fake):
    """Janus with a VideoRoom."""

    steps = ("create", "attach", "join", "publishers", "publish", "leaving", "destroy")
    later = ("update", "start", "trickle", "leave")
    scheme, path = "janus+ws", "/?room=1"
    unknown = '{"janus": "what", "transaction": "unknown", "sender": 99}'

    async def run(self, socket: web.WebSocketResponse) -> None:
        number = 0
        async for text in texts(socket):
            number += 1
            asked = json.loads(text)
            verb = asked["janus"]
            step = asked["body"]["request"] if verb == "message" else verb
            about = {"transaction": asked["transaction"], "session_id": 1, "sender": asked.get("handle_id")}
            answer: dict[str, Any] = {"janus": "success", **about}
            if verb in ("create", "attach"):
                answer["data"] = {"id": number}
            elif verb == "message":
                data: dict[str, Any] = {"videoroom": "event"}
                if step == "join" and asked["body"]["ptype"] == "publisher":
                    data = {"videoroom": "joined", "id": 77, "private_id": 5, "publishers": []}
                elif step == "join":
                    data = {"videoroom": "attached", "streams": [{"mid": "0", "feed_id": 9, "feed_mid": "0"}]}
                    answer["jsep"] = {"type": "offer", "sdp": OFFER}
                elif step == "publish":
                    answer["jsep"] = {"type": "answer", "sdp": ANSWER}
                answer |= {"janus": "event", "plugindata": {"plugin": "x", "data": data}}
            await self.say(socket, step, json.dumps(answer))
            if step == "join" and "publish" not in self.said and "publishers" not in self.said:
                await self._tell(socket, "publishers", number - 1)
            elif step == "publish":
                await self._tell(socket, "leaving", asked["handle_id"])

    async def _tell(self, socket: web.WebSocketResponse, step: str, handle: int) -> None:
        streams = [{"type": "video", "mid": "0", "description": "cam"}]
        data: dict[str, Any] = {"publishers": [{"id": 9, "display": "nine", "streams": streams}]}
        if step == "leaving":
            data = {"leaving": 9}
        plugindata = {"plugin": "x", "data": {"videoroom": "event", **data}}
        await self.say(
            socket, step, json.dumps({"janus": "event", "sender": handle, "plugindata": plugindata})
        )


class FakeJanusPlugin(Fake):
    """Janus with a plugin in which one handle asks and is answered."""

    steps = ("create", "attach", "destroy")
    later = ("start", "trickle")
    scheme = "janus+ws"
    unknown = FakeJanus.unknown
    honest = "refused"
    answers: Mapping[str, tuple[dict[str, Any], dict[str, str] | None]]

    async def run(self, socket: web.WebSocketResponse) -> None:
        number = 0
        async for text in texts(socket):
            number += 1
            asked = json.loads(text)
            verb = asked["janus"]
            step = asked["body"].get("request", "configure") if verb == "message" else verb
            about = {"transaction": asked["transaction"], "session_id": 1, "sender": asked.get("handle_id")}
            answer: dict[str, Any] = {"janus": "success", **about}
            if verb in ("create", "attach"):
                answer["data"] = {"id": number}
            elif verb == "message":
                data, jsep = self.answers.get(step, ({"result": {"status": "ok"}}, None))
                answer |= {"janus": "event", "plugindata": {"plugin": "x", "data": data}}
                if jsep is not None:
                    answer["jsep"] = jsep
            await self.say(socket, step, json.dumps(answer))


class FakeEchoTest(FakeJanusPlugin):
    """Janus' EchoTest."""

    steps = (*FakeJanusPlugin.steps, "configure")
    path = "/?echo"
    answers = MappingProxyType(
        {"configure": ({"echotest": "event", "result": "ok"}, {"type": "answer", "sdp": ANSWER})}
    )


class FakeStreaming(FakeJanusPlugin):
    """Janus' Streaming plugin."""

    steps = (*FakeJanusPlugin.steps, "info", "watch")
    path = "/?stream=1"
    answers = MappingProxyType(
        {
            "info": ({"streaming": "info", "info": {"id": 1, "description": "One", "media": []}}, None),
            "watch": ({"result": {"status": "preparing"}}, {"type": "offer", "sdp": OFFER}),
        }
    )


class FakeTextRoom(FakeJanusPlugin):
    """Janus' TextRoom."""

    steps = (*FakeJanusPlugin.steps, "setup")
    later = ("ack", "trickle")
    path = "/?textroom=1"
    answers = MappingProxyType({"setup": ({"textroom": "event"}, {"type": "offer", "sdp": OFFER})})


class FakeRtcmc(Fake):
    """RTCMultiConnection's server: Socket.IO on a WebSocket."""

    steps = (
        "open",
        "connect",
        "join-room",
        "open-room",
        "enableMedia",
        "offer",
        "candidate",
        "mute",
        "extra",
        "gone",
    )
    scheme, path = "rtcmc+http", "/?room=x"
    unknown = '42["what-is-this", {"a": 1}]'
    event = "RTCMultiConnection-Message"

    def lie(self, frame: Frame) -> Frame:
        text = str(frame)
        digits = len(text) - len(text.lstrip("0123456789"))
        return text[:digits] + json.dumps(falsify(json.loads(text[digits:])))

    async def run(self, socket: web.WebSocketResponse) -> None:
        opened = {
            "sid": "s",
            "upgrades": [],
            "pingInterval": 25000,
            "pingTimeout": 20000,
            "maxPayload": 100000,
        }
        await self.say(socket, "open", "0" + json.dumps(opened))
        async for text in texts(socket):
            if text.startswith("40"):
                await self.say(socket, "connect", '40{"sid": "t"}')
            elif text.startswith("42"):
                body = text[2:].lstrip("0123456789")
                number = text[2 : len(text) - len(body)]
                name, *arguments = json.loads(body)
                await self._answer(socket, name, number, arguments)

    async def _answer(
        self, socket: web.WebSocketResponse, name: str, number: str, arguments: list[Any]
    ) -> None:
        if name == "join-room" and "join-room" not in self.said:
            # as for a room that is not there
            await self.say(socket, "join-room", f'43{number}[false, "Room not available"]')
        elif name in ("join-room", "open-room"):
            await self.say(socket, "open-room", f"43{number}[true, null]")
            user = self.request.query.get("userid")
            about = {"remoteUserId": user, "sender": "b", "extra": {"name": "B"}}
            for step, message in (
                ("enableMedia", {"enableMedia": True, "userPreferences": {}}),
                ("offer", {"type": "offer", "sdp": OFFER}),
                ("candidate", CANDIDATE),
                ("mute", {"streamSyncNeeded": True, "action": "mute", "streamid": "s"}),
            ):
                await self.say(socket, step, "42" + json.dumps([self.event, {**about, "message": message}]))
            await self.say(socket, "extra", "42" + json.dumps(["extra-data-updated", "b", {"name": "C"}]))
            left = json.dumps([self.event, {**about, "message": {"userLeft": True}}])
            await self.say(socket, "gone", "42" + left, '42["user-disconnected", "b"]')


class FakePeerServer(Fake):
    """PeerJS' server."""

    steps = ("id", "open", "offer", "candidate", "call", "leave")
    later = ("answer",)
    scheme, path = "peerjs+http", "/?peer=alice"
    unknown = '{"type": "WHAT", "src": "alice", "payload": 3}'

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/id"):
            return await self.serve_body(request, "id", "me")
        return await super().serve(request)

    async def run(self, socket: web.WebSocketResponse) -> None:
        await self.say(socket, "open", '{"type": "OPEN"}')
        offer = {"type": "data", "connectionId": "dc_1", "sdp": {"type": "offer", "sdp": OFFER}}
        offer |= {"label": "x", "serialization": "json", "reliable": True, "metadata": {"name": "Bob"}}
        await self.say(socket, "offer", json.dumps({"type": "OFFER", "src": "bob", "payload": offer}))
        payload = {"type": "data", "connectionId": "dc_1", "candidate": CANDIDATE}
        await self.say(
            socket, "candidate", json.dumps({"type": "CANDIDATE", "src": "bob", "payload": payload})
        )
        call = {"type": "media", "connectionId": "mc_1", "sdp": {"type": "offer", "sdp": OFFER}}
        await self.say(socket, "call", json.dumps({"type": "OFFER", "src": "carol", "payload": call}))
        await self.say(socket, "leave", json.dumps({"type": "LEAVE", "src": "bob"}))
        async for text in texts(socket):
            asked = json.loads(text)
            if asked["type"] == "OFFER":
                payload = {key: asked["payload"][key] for key in ("type", "connectionId")}
                payload["sdp"] = {"type": "answer", "sdp": ANSWER}
                answer = {"type": "ANSWER", "src": asked["dst"], "payload": payload}
                await self.say(socket, "answer", json.dumps(answer))


class FakeWhip(Fake):
    """A WHIP or WHEP endpoint."""

    steps = ("answer", "delete")
    later = ("patch",)
    scheme, path = "whip+http", "/whip/cam"
    recovers = True
    unknown = "x-unknown: 1\r\n"

    def lie(self, frame: Frame) -> Frame:
        return str(frame).replace("IN IP4", "NOWHERE").replace("ice-ufrag", "nice-ufrag")

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if request.method == "POST":
            headers = {"Location": "/session/1", "ETag": '"1"', "Content-Type": "application/sdp"}
            return await self.serve_body(request, "answer", ANSWER, status=201, headers=headers)
        return await self.serve_body(request, request.method.lower(), "")


class FakeWhep(FakeWhip):
    """A WHEP endpoint."""

    scheme, path = "whep+http", "/whep/cam"
    recovers = False
    honest = "refused"


class FakeLiveKit(Fake):
    """A LiveKit server."""

    steps = ("join", "update", "offer", "answer", "track_published", "data", "news")
    scheme, path = "livekit+ws", "/"
    unknown = b"\xfa\x7f\x03abc"  # the field 2047
    options = MappingProxyType({"token": tokens.make_token("key", "s" * 32, tokens.Grants("bot", "lobby"))})

    def lie(self, frame: Frame) -> Frame:
        assert isinstance(frame, bytes)
        message = rtc.SignalResponse.FromString(frame)
        _lie_in(message)
        data: bytes = message.SerializeToString()
        return data

    async def run(self, socket: web.WebSocketResponse) -> None:
        async def say(step: str, **members: Any) -> None:
            await self.say(socket, step, rtc.SignalResponse(**members).SerializeToString())

        me = models.ParticipantInfo(sid="PA_bot", identity="bot")
        eve = models.ParticipantInfo(sid="PA_eve", identity="eve", name="Eve", version=1)
        await say(
            "join", join=rtc.JoinResponse(room=models.Room(name="lobby"), participant=me, ping_interval=60)
        )
        await say("update", update=rtc.ParticipantUpdate(participants=[eve]))
        await say("offer", offer=rtc.SessionDescription(type="offer", sdp=OFFER, id=1))
        await say(
            "data",
            connection_quality=rtc.ConnectionQualityUpdate(
                updates=[
                    rtc.ConnectionQualityInfo(participant_sid="PA_eve", quality=models.ConnectionQuality.GOOD)
                ]
            ),
        )
        speaker = models.SpeakerInfo(sid="PA_eve", level=0.5, active=True)
        quality = rtc.SubscribedQuality(quality=models.VideoQuality.LOW, enabled=True)
        news: tuple[dict[str, Any], ...] = (
            {"speakers_changed": rtc.SpeakersChanged(speakers=[speaker])},
            {"room_update": rtc.RoomUpdate(room=models.Room(name="lobby", metadata="m"))},
            {"refresh_token": self.options["token"]},
            {"trickle": rtc.TrickleRequest(candidateInit=json.dumps(CANDIDATE), target="SUBSCRIBER")},
            {"mute": rtc.MuteTrackRequest(sid="TR_1", muted=True)},
            {"track_unpublished": rtc.TrackUnpublishedResponse(track_sid="TR_2")},
            {"request_response": rtc.RequestResponse(request_id=99)},
            {"pong_resp": rtc.Pong(last_ping_timestamp=1, timestamp=2)},
            {"track_subscribed": rtc.TrackSubscribed(track_sid="TR_1")},
            {
                "subscribed_quality_update": rtc.SubscribedQualityUpdate(
                    track_sid="TR_1", subscribed_qualities=[quality]
                )
            },
            {
                "subscription_permission_update": rtc.SubscriptionPermissionUpdate(
                    participant_sid="PA_eve", track_sid="TR_3", allowed=False
                )
            },
            {"stream_state_update": rtc.StreamStateUpdate()},
            {"media_sections_requirement": rtc.MediaSectionsRequirement(num_audios=1)},
        )
        await self.say(socket, "news", *(rtc.SignalResponse(**one).SerializeToString() for one in news))
        async for message in socket:
            if message.type != WSMsgType.BINARY:
                return
            request = rtc.SignalRequest.FromString(message.data)
            if request.HasField("offer"):
                await say(
                    "answer", answer=rtc.SessionDescription(type="answer", sdp=ANSWER, id=request.offer.id)
                )
            elif request.HasField("add_track"):
                track = models.TrackInfo(sid="TR_1", name=request.add_track.name)
                await say(
                    "track_published",
                    track_published=rtc.TrackPublishedResponse(cid=request.add_track.cid, track=track),
                )


def _lie_in(message: Any) -> None:
    """Other texts and numbers in a protobuf message; the types of its fields are all that it keeps."""
    for field, value in message.ListFields():
        if field.label == field.LABEL_REPEATED:
            for one in value if field.type == field.TYPE_MESSAGE and hasattr(value, "add") else ():
                _lie_in(one)
        elif field.type == field.TYPE_MESSAGE:
            _lie_in(value)
        elif field.type == field.TYPE_STRING:
            setattr(message, field.name, "\x00lie")
        elif field.type in (field.TYPE_UINT32, field.TYPE_INT32, field.TYPE_INT64, field.TYPE_UINT64):
            setattr(message, field.name, 2**31 - 1)


FAKES: tuple[type[Fake], ...] = (
    FakeRooms,
    FakeJanus,
    FakeEchoTest,
    FakeStreaming,
    FakeTextRoom,
    FakeRtcmc,
    FakePeerServer,
    FakeWhip,
    FakeWhep,
    FakeLiveKit,
)

"""A VideoRoom whose Janus lies, stalls, repeats and ends in the middle of each step."""

import asyncio
import json

import pytest
from aiohttp import WSMsgType, web

from rtcpeer.calls.events import Ended, ParticipantJoined, ParticipantLeft, Reconnected
from rtcpeer.calls.janus.channels import PublisherChannel, Stream, SubscriberChannel
from rtcpeer.calls.janus.session import JanusError, JanusSession
from rtcpeer.calls.joining import join
from rtcpeer.calls.queue_channel import UNREAD_MAX
from rtcpeer.errors import InvalidStateError, NetworkError, RTCTimeoutError, SignalingRefused
from rtcpeer.signaling.glance import origin_untrusted
from rtcpeer.testing import no_leaks, synthetic_track
from tests.unit.calls.fakes import Diary
from tests.unit.calls.test_rooms import served


@pytest.fixture(autouse=True)
async def nothing_is_left():
    async with no_leaks(grace=3):
        yield


class FakeJanus:
    """Answers as a VideoRoom would; `change(step, answer)` may say something else, or raise to end the socket."""

    def __init__(self, change=lambda step, answer: [answer]):
        self.change = change
        self.steps = []
        self.asked = []  # the bodies of messages
        self.sockets = []
        self.numbers = 0

    async def serve(self, request):
        socket = web.WebSocketResponse(protocols=("janus-protocol",))
        await socket.prepare(request)
        self.sockets.append(socket)
        async for message in socket:
            if message.type != WSMsgType.TEXT:
                break
            asked = json.loads(message.data)
            step = asked["body"]["request"] if asked["janus"] == "message" else asked["janus"]
            self.steps.append(step)
            self.asked.append(asked.get("body", {}))
            try:
                for answer in self.change(step, self.answer(step, asked)):
                    await socket.send_str(answer if isinstance(answer, str) else json.dumps(answer))
            except ConnectionError:
                break
        await socket.close()
        return socket

    async def wait_for(self, *steps):
        """Until it was asked these things, among others, in this order; the body of the last one."""
        async with asyncio.timeout(20):
            while True:
                found = 0
                for step, body in zip(self.steps, self.asked, strict=True):
                    found += found < len(steps) and step == steps[found]
                    if found == len(steps):
                        return body
                await asyncio.sleep(0.01)

    def answer(self, step, asked):
        self.numbers += 1
        about = {"transaction": asked["transaction"], "session_id": 1, "sender": asked.get("handle_id")}
        if step in ("create", "attach"):
            return {"janus": "success", "data": {"id": self.numbers}, **about}
        data = {"videoroom": "event"}
        if step == "join":
            data = {"videoroom": "joined", "id": 77, "private_id": 5, "publishers": []}
        kind = (
            "event" if asked["janus"] == "message" else "success" if step in ("claim", "destroy") else "ack"
        )
        return {"janus": kind, "plugindata": {"data": data}, **about}

    def tell(self, data, **members):
        return self.sockets[-1].send_str(
            json.dumps({"janus": "event", "sender": 2, "plugindata": {"data": data}, **members})
        )


async def test_a_janus_that_forgets_the_session_again_and_again():
    """One session is made for what it says at once."""
    janus = FakeJanus()
    async with served(janus.serve) as port, join(f"janus+ws://127.0.0.1:{port}/?room=1") as call:
        diary = Diary(call)
        for number in (1, 2):
            janus.steps.clear()
            for _ in range(20):
                await janus.sockets[-1].send_str('{"janus": "timeout", "session_id": 1}')
            await diary.get(Reconnected, number)
            assert janus.steps == ["create", "attach", "join"]
        assert not diary.of(Ended)
    await diary.task


async def test_a_fault_of_ours_ends_the_call(monkeypatch, caplog):
    """A call whose messages nobody reads any more would hang."""
    janus = FakeJanus()
    async with served(janus.serve) as port, join(f"janus+ws://127.0.0.1:{port}/?room=1") as call:
        monkeypatch.setattr(JanusSession, "_hear", lambda self, text: 1 / 0)
        await janus.tell({"videoroom": "event"})
        ended = await asyncio.wait_for(call.closed(), 20)
        assert (ended.reason, type(ended.error)) == ("signaling-ended", ZeroDivisionError)
        monkeypatch.undo()
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("step", ["create", "attach", "join"])
@pytest.mark.parametrize(
    "lie",
    [
        "end",
        "no json",
        "list",
        "no data",
        "error",
        "wrong error",
        "wrong id",
        "huge",
        "twice",
        "unknown first",
    ],
)
async def test_lies_in_each_step_of_entering(step, lie):
    def change(now, answer):
        if now != step:
            return [answer]
        if lie == "end":
            raise ConnectionError
        bare = {k: v for k, v in answer.items() if k not in ("data", "plugindata")}
        return {
            "no json": ["{", answer],
            "list": ["[1]", answer],
            "no data": [bare],
            "error": [{**bare, "janus": "error", "error": {"code": 403, "reason": "no"}}],
            "wrong error": [{**bare, "janus": "error", "error": 7}],
            "wrong id": [{**answer, "data": {"id": "x"}, "plugindata": {"data": {"videoroom": "joined"}}}],
            "huge": ["[" * 100_000, answer],
            "twice": [answer, answer],
            "unknown first": [{"janus": "what?"}, {"janus": "event", "sender": []}, answer],
        }[lie]

    async with served(FakeJanus(change).serve) as port:
        url = f"janus+ws://127.0.0.1:{port}/?room=1"
        if lie in ("no json", "list", "huge", "twice", "unknown first"):
            async with join(url) as call:
                assert call.id == "77"
        else:
            with pytest.raises((NetworkError, RTCTimeoutError)):
                await join(url, timeout=5)


async def test_a_refusal_names_the_number_once():
    def change(step, answer):
        bare = {k: v for k, v in answer.items() if k != "plugindata"}
        error = {"janus": "error", "error": {"code": 426, "reason": "No such room (1)"}}
        return [bare | error if step == "join" else answer]

    async with served(FakeJanus(change).serve) as port:
        with pytest.raises(
            SignalingRefused, match=r"^the signaling service refuses \(426\): No such room \(1\)$"
        ):
            await join(f"janus+ws://127.0.0.1:{port}/?room=1")


async def test_a_janus_that_stalls():
    async with served(FakeJanus(lambda step, answer: [] if step == "join" else [answer]).serve) as port:
        with pytest.raises(RTCTimeoutError):
            await join(f"janus+ws://127.0.0.1:{port}/?room=1", timeout=0.3)


async def test_nonsense_in_the_room():
    janus = FakeJanus()
    async with served(janus.serve) as port, join(f"janus+ws://127.0.0.1:{port}/?room=1") as call:
        diary = Diary(call)
        for data in (
            {},
            {"publishers": 7},
            {"publishers": [{}, 3, {"id": None, "streams": "x"}]},
            {"attendees": {"id": 3}},
            {"joining": "x"},
            {"leaving": "nobody"},
            {"unpublished": []},
            {"publishers": [{"id": "a", "display": 7, "streams": [{"type": "video"}, 5]}]},
        ):
            await janus.tell({"videoroom": "event", **data})
        for frame in (
            {"janus": "ack", "transaction": []},
            {"janus": {"a": 1}, "sender": 2},
            {"janus": "success", "transaction": {}, "sender": True},
            {"janus": "trickle", "sender": 2, "candidate": {"candidate": 5, "sdpMLineIndex": []}},
            {"janus": "event", "sender": 2, "plugindata": {"data": {}}, "jsep": {"type": [], "sdp": 5}},
        ):
            await janus.sockets[-1].send_str(json.dumps(frame))
        await janus.sockets[-1].send_bytes(b"\x00")
        await janus.tell({"videoroom": "event", "joining": {"id": 5, "display": "Eve"}})
        await diary.get(ParticipantJoined, 3)
        assert [p.id for p in call.participants.values()] == ["None", "a", "5"]
        await janus.tell({"videoroom": "event", "leaving": 5})
        assert (await diary.get(ParticipantLeft)).participant.name == "Eve"
        await janus.tell({"videoroom": "destroyed"})
        assert (await diary.get(Ended)).reason == "room-closed"
        assert call.ignored["publisher without id"] == 1
        assert call.ignored["name"] == 1
    await diary.task
    assert janus.steps[-1] == "destroy"


@pytest.mark.parametrize("answer", ["refused", "nothing", "nonsense", "end"])
async def test_publishing_to_a_janus_that_lies(answer):
    def change(step, said):
        if step != "publish":
            return [said]
        if answer == "end":
            raise ConnectionError
        if answer == "refused":
            return [{**said, "plugindata": {"data": {"error_code": 432, "error": "full"}}}]
        jsep = {"type": "answer", "sdp": "nonsense"} if answer == "nonsense" else None
        return [{**said, "jsep": jsep}]

    janus = FakeJanus(change)
    voice = synthetic_track("audio")
    async with served(janus.serve) as port, join(f"janus+ws://127.0.0.1:{port}/?room=1") as call:
        await call.publish(voice)
        async with asyncio.timeout(20):
            while "publish" not in janus.steps:  # noqa: ASYNC110 (what changes has no event)
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert call.ended is None
        await call.send("waits")
    voice.stop()
    assert janus.steps.count("publish") <= 3


async def test_a_subscription_that_was_refused_is_tried_again(monkeypatch):
    """A publisher has just gone when we subscribe, and is back: the next attempt is another subscriber."""
    monkeypatch.setattr("rtcpeer.calls.janus.videoroom._RETRY", 0.05)
    joins = []

    def change(step, answer):
        if step == "join":
            joins.append(step)
            if len(joins) == 2:  # the first one is the publisher's
                return [{**answer, "plugindata": {"data": {"error_code": 428, "error": "No such feed"}}}]
        return [answer]

    janus = FakeJanus(change)
    async with served(janus.serve) as port, join(f"janus+ws://127.0.0.1:{port}/?room=1") as call:
        diary = Diary(call)
        streams = [{"type": "audio", "mid": "0"}]
        await janus.tell(
            {"videoroom": "event", "publishers": [{"id": 5, "display": "Eve", "streams": streams}]}
        )
        await diary.get(ParticipantJoined)
        async with asyncio.timeout(20):
            while len(joins) < 3:  # noqa: ASYNC110 (what changes has no event)
                await asyncio.sleep(0.01)
        assert call.ignored == {"subscription refused": 1}
        assert janus.steps.count("attach") == 3  # the publisher's, the refused one's, and another
        assert janus.steps.count("detach") == 1
    await diary.task


def publishing(id, *mids):
    return {"id": id, "streams": [{"type": "audio", "mid": mid} for mid in mids or ("0",)]}


def refusal(answer, feed):
    return {**answer, "plugindata": {"data": {"error_code": 428, "error": f"No such feed ({feed})"}}}


def listing(answer, *feeds):
    """An answer that lists what is subscribed to."""
    streams = [{"mid": str(n), "active": True, "feed_id": f, "feed_mid": "0"} for n, f in enumerate(feeds)]
    return {**answer, "plugindata": {"data": {"videoroom": "updated", "streams": streams}}}


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr("rtcpeer.calls.janus.videoroom._RETRY", 0.02)
    monkeypatch.setattr("rtcpeer.calls.janus.videoroom._RETRIES", (0.02,))
    monkeypatch.setattr("rtcpeer.calls.janus.videoroom._CHECK_TIME", 0.1)
    monkeypatch.setattr("rtcpeer.calls.janus.subscriptions.PAUSES", (0.02,))


@pytest.mark.usefixtures("impatient")
async def test_a_publisher_who_is_gone_and_back_while_something_else_is_asked():
    """Same feed, same mid: for Janus the subscription is over all the same."""
    held = []

    def change(step, answer):
        if step == "update" and not held:
            held.append(answer)
            return []
        return [answer]

    janus = FakeJanus(change)
    async with served(janus.serve) as port, join(f"janus+ws://127.0.0.1:{port}/?room=1"):
        await janus.tell({"videoroom": "event", "publishers": [publishing(5)]})
        await janus.wait_for("join", "join")
        await janus.tell({"videoroom": "event", "publishers": [publishing(6)]})
        await janus.wait_for("update")
        await janus.tell({"videoroom": "event", "unpublished": 5})
        await janus.tell({"videoroom": "event", "publishers": [publishing(5)]})
        await janus.sockets[-1].send_str(json.dumps(held[0]))
        body = await janus.wait_for("update", "update")
        assert body["subscribe"] == [{"feed": 5, "mid": "0"}]


@pytest.mark.parametrize("step", ["join", "update"])
@pytest.mark.usefixtures("impatient")
async def test_one_who_has_just_gone_takes_nobody_along(step):
    """Janus refuses what names somebody who is not there as a whole. The others are asked for each alone."""
    janus = FakeJanus()

    def feeds(body):
        return [s["feed"] for s in body.get("streams", body.get("subscribe", []))]

    janus.change = lambda _, answer: [refusal(answer, 5) if 5 in feeds(janus.asked[-1]) else answer]
    async with served(janus.serve) as port, join(f"janus+ws://127.0.0.1:{port}/?room=1"):
        if step == "update":
            await janus.tell({"videoroom": "event", "publishers": [publishing(4)]})
            await janus.wait_for("join", "join")
        await janus.tell({"videoroom": "event", "publishers": [publishing(5), publishing(6)]})

        def asked():
            return [feeds(body) for body in janus.asked if feeds(body)]

        async with asyncio.timeout(20):
            while asked().count([5]) < 3:  # noqa: ASYNC110 (it may be there soon; what changes has no event)
                await asyncio.sleep(0.01)
        assert [5, 6] in asked()
        assert asked().count([6]) == 1
        await janus.tell({"videoroom": "event", "unpublished": 5})
        await asyncio.sleep(0.1)
        before = len(asked())
        await asyncio.sleep(0.1)
        assert len(asked()) == before


@pytest.mark.usefixtures("impatient")
async def test_what_janus_has_accepted_and_not_done_is_asked_again():
    janus = FakeJanus()
    lists = iter([(6,), (6, 5)])

    def change(step, answer):
        is_subscriber = janus.asked[-1].get("ptype") == "subscriber"
        return [listing(answer, *next(lists)) if step == "update" or is_subscriber else answer]

    janus.change = change
    async with served(janus.serve) as port, join(f"janus+ws://127.0.0.1:{port}/?room=1"):
        await janus.tell({"videoroom": "event", "publishers": [publishing(5), publishing(6)]})
        body = await janus.wait_for("join", "join", "update")
        assert body == {"request": "update", "subscribe": [{"feed": 5, "mid": "0"}]}
        await asyncio.sleep(0.1)
        assert janus.steps.count("update") == 1


async def test_news_that_overtake_the_answer_to_join():
    """The answer says who was there when Janus wrote it; what was told since then counts."""

    def change(step, answer):
        if step != "join":
            return [answer]
        about = {"janus": "event", "sender": answer["sender"]}
        data = {**answer["plugindata"]["data"], "publishers": [{"id": 5, "display": "Eve"}], "attendees": []}
        gone = {**about, "plugindata": {"data": {"videoroom": "event", "leaving": 5}}}
        come = {**about, "plugindata": {"data": {"videoroom": "event", "joining": {"id": 6}}}}
        return [gone, come, {**answer, "plugindata": {"data": data}}]

    async with served(FakeJanus(change).serve) as port, join(f"janus+ws://127.0.0.1:{port}/?room=1") as call:
        assert set(call.participants) == {"6"}


@pytest.mark.usefixtures("impatient")
async def test_what_was_told_while_there_was_no_socket():
    """The session is claimed. Janus has dropped its events, an offer perhaps among them."""
    janus = FakeJanus()
    there = [
        {"id": 77, "publisher": False},
        {"id": 5, "publisher": False},
        {"id": 7, "publisher": True, "display": "Zoe"},
        {"id": 8, "publisher": False},
    ]

    def change(step, answer):
        if step == "listparticipants":
            data = {"videoroom": "participants", "participants": there}
            return [{**answer, "janus": "success", "plugindata": {"data": data}}]
        if step == "configure":
            return []  # it waits for the answer to an offer that we have not heard
        if step == "join" and janus.asked[-1]["ptype"] == "subscriber":
            return [listing(answer, *(s["feed"] for s in janus.asked[-1]["streams"]))]
        return [answer]

    janus.change = change
    async with served(janus.serve) as port, join(f"janus+ws://127.0.0.1:{port}/?room=1") as call:
        diary = Diary(call)
        await janus.tell({"videoroom": "event", "publishers": [publishing(5), publishing(6)]})
        await janus.wait_for("join", "join")
        await janus.sockets[-1].close()
        await diary.get(Reconnected)
        assert set(call.participants) == {"5", "7"}  # the room announces nobody who publishes nothing
        assert call.participants["7"].name == "Zoe"
        body = await janus.wait_for("claim", "listparticipants", "configure", "join")
        assert body["streams"] == [{"feed": 7}]
        await asyncio.sleep(0.1)
        assert janus.steps.count("join") == 3
    await diary.task


@pytest.mark.usefixtures("impatient")
async def test_a_publisher_who_has_published_more_while_there_was_no_socket():
    """Janus lists its streams to a subscriber alone: one is made for that, and given back."""
    janus = FakeJanus()

    def change(step, answer):
        streams = janus.asked[-1].get("streams")
        if step == "listparticipants":
            data = {"videoroom": "participants", "participants": [{"id": 5, "publisher": True}]}
            return [{**answer, "janus": "success", "plugindata": {"data": data}}]
        if step == "configure":
            return [{**answer, "jsep": {"type": "offer", "sdp": sdp(1)}}]
        if streams == [{"feed": 5}]:
            found = [{"mid": m, "feed_id": 5, "feed_mid": m, "feed_description": f"n{m}"} for m in "02"]
            return [{**answer, "plugindata": {"data": {"videoroom": "attached", "streams": found}}}]
        return [answer]

    janus.change = change
    chat = {"type": "data", "mid": "1"}
    async with served(janus.serve) as port, join(f"janus+ws://127.0.0.1:{port}/?room=1") as call:
        diary = Diary(call)
        eve = publishing(5)
        await janus.tell({"videoroom": "event", "publishers": [{**eve, "streams": [*eve["streams"], chat]}]})
        await janus.wait_for("join", "join")
        await janus.sockets[-1].close()
        await diary.get(Reconnected)
        body = await janus.wait_for("claim", "listparticipants", "join", "detach", "update")
        assert body == {"request": "update", "subscribe": [{"feed": 5, "mid": "2"}]}
    await diary.task


async def test_the_first_track_is_published_while_janus_has_forgotten_us():
    held, attached = [], []

    def change(step, answer):
        attached.extend([step] if step == "attach" else [])
        if step == "attach" and len(attached) == 2:
            held.append(answer)
            return []
        return [answer]

    janus, voice = FakeJanus(change), synthetic_track("audio")
    async with served(janus.serve) as port, join(f"janus+ws://127.0.0.1:{port}/?room=1") as call:
        await janus.sockets[-1].send_str('{"janus": "timeout", "session_id": 1}')
        await janus.wait_for("join", "attach")
        await call.publish(voice)
        await janus.sockets[-1].send_str(json.dumps(held[0]))
        await janus.wait_for("join", "join", "publish")
    voice.stop()


async def test_our_state_is_told_to_each_who_comes(monkeypatch):
    """The telling for the one before is not over: it begins again."""
    monkeypatch.setattr("rtcpeer.calls.janus.videoroom._STATE_DELAYS", (0.05, 0.1))
    janus, told = FakeJanus(), []
    async with (
        served(janus.serve) as port,
        join(f"janus+ws://127.0.0.1:{port}/?room=1", metadata={"hat": "red"}) as call,
    ):
        room = call.service
        monkeypatch.setattr(room._publisher, "say", told.append)
        diary = Diary(call)
        await janus.tell({"videoroom": "event", "joining": {"id": 5}})
        async with asyncio.timeout(20):
            while not told:  # noqa: ASYNC110 (what changes has no event)
                await asyncio.sleep(0.01)
        await janus.tell({"videoroom": "event", "joining": {"id": 6}})
        await diary.get(ParticipantJoined, 2)
        told.clear()
        async with asyncio.timeout(20):
            while len(told) < 2:  # noqa: ASYNC110 (what changes has no event)
                await asyncio.sleep(0.01)
        assert all(said == {"state": {"muted": [], "metadata": {"hat": "red"}}} for said in told)
    await diary.task


class FakeHandle:
    def __init__(self, *answers):
        self.id, self.is_gone, self.asked, self.answers = 1, False, [], list(answers)
        self.told = []

    async def hang_up(self):
        self.asked.append(("hangup", None))

    async def ask(self, body, jsep=None):
        self.asked.append((body["request"], jsep and jsep["type"]))
        answer = self.answers.pop(0) if self.answers else ({}, None)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def trickle(self, candidates):
        self.told.append(candidates)

    async def detach(self):
        self.is_gone = True


def sdp(session, version=0):
    return f"v=0\r\no=- {session} {version} IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"


async def test_a_publisher_channel_keeps_the_session_of_one_connection():
    answers = [({}, {"type": "answer", "sdp": sdp(n)}) for n in (5, 9)]
    handle = FakeHandle(*answers, ({}, None), ({}, {"type": "answer", "sdp": sdp(7)}))
    channel = PublisherChannel(handle, lambda: [])
    await channel.send({"type": "offer", "sdp": sdp(1)})
    await channel.send({"type": "offer", "sdp": sdp(1, 1)})
    first, second = await anext(channel), await anext(channel)
    one, two = origin_untrusted(first["sdp"]), origin_untrusted(second["sdp"])
    assert one[0] == two[0]
    assert two[1] == one[1] + 1
    task = asyncio.ensure_future(channel.send({"type": "offer", "sdp": sdp(2)}))
    await asyncio.sleep(0)
    channel.hung_up()
    await task
    assert origin_untrusted((await anext(channel))["sdp"])[0] != one[0]
    assert [kind for kind, _ in handle.asked] == ["publish", "configure", "unpublish", "publish"]
    with pytest.raises(InvalidStateError, match="sends offers"):
        await channel.send({"type": "answer", "sdp": sdp(1)})
    handle.is_gone = True
    with pytest.raises(NetworkError, match="no handle"):
        await channel.send({"candidate": "x"})
    await channel.close()
    with pytest.raises(InvalidStateError, match="closed"):
        await channel.send({"type": "offer", "sdp": sdp(1)})


@pytest.fixture
def no_pauses(monkeypatch):
    monkeypatch.setattr("rtcpeer.calls.janus.channels._HANGUP_TIME", 0.01)
    monkeypatch.setattr("rtcpeer.calls.janus.channels._DISPOSAL_TIME", 0.01)


NOTHING = sdp(1) + "a=ice-ufrag:(null)\r\na=ice-pwd:(null)\r\n"


@pytest.mark.usefixtures("no_pauses")
async def test_a_connection_that_has_never_stood_is_taken_back_all_the_same():
    """The plugin says that nothing is published; the core of Janus has the half of a connection."""
    answer = ({}, {"type": "answer", "sdp": sdp(5)})
    handle = FakeHandle(answer, JanusError(435, "Can't unpublish, not published"), answer)
    channel = PublisherChannel(handle, list)
    await channel.send({"type": "offer", "sdp": sdp(1)})
    await channel.send({"type": "offer", "sdp": sdp(2)})
    assert [kind for kind, _ in handle.asked] == ["publish", "unpublish", "hangup", "publish"]
    handle.answers.append(JanusError(426, "No such room"))
    with pytest.raises(JanusError):
        await channel.send({"type": "offer", "sdp": sdp(3)})


@pytest.mark.usefixtures("no_pauses")
async def test_an_answer_without_credentials_is_none():
    """Janus has disposed of the new connection's agent in place of the former one's."""
    handle = FakeHandle(
        ({}, {"type": "answer", "sdp": NOTHING}),
        JanusError(435, "Can't unpublish, not published"),
        ({}, {"type": "answer", "sdp": sdp(5)}),
    )
    channel = PublisherChannel(handle, list)
    with pytest.raises(NetworkError, match="had closed"):
        await channel.send({"type": "offer", "sdp": sdp(1)})
    await channel.send({"type": "offer", "sdp": sdp(1)})  # as the negotiator repeats it
    assert [kind for kind, _ in handle.asked] == ["publish", "unpublish", "hangup", "publish"]
    assert (await anext(channel))["type"] == "answer"


@pytest.mark.usefixtures("no_pauses")
async def test_an_offer_whose_answer_was_lost_may_be_in_force():
    """So the same offer again is a change, and that of another connection takes it back."""
    answer = ({}, {"type": "answer", "sdp": sdp(5)})
    lost = RTCTimeoutError("no answer")
    handle = FakeHandle(lost, answer, answer, lost, answer, answer)
    channel = PublisherChannel(handle, list)
    with pytest.raises(NetworkError):
        await channel.send({"type": "offer", "sdp": sdp(1)})
    await channel.send({"type": "offer", "sdp": sdp(1)})
    with pytest.raises(NetworkError):
        await channel.send({"type": "offer", "sdp": sdp(2)})
    await channel.send({"type": "offer", "sdp": sdp(3)})
    asked = [kind for kind, _ in handle.asked]
    assert asked == ["publish", "configure", "unpublish", "publish", "unpublish", "publish"]


async def test_an_answer_to_the_former_handle_is_not_given_to_the_next_one():
    channel = SubscriberChannel(lambda: None)
    old, new = FakeHandle(), FakeHandle()
    channel.take_over(old)
    channel.offer(sdp(1), {})
    before = await anext(channel)
    channel.take_over(new)
    channel.offer(sdp(1), {})
    after = await anext(channel)
    for offer in (before, after):
        session, version = origin_untrusted(offer["sdp"])
        await channel.send({"type": "answer", "sdp": sdp(3), "answerTo": f"{session} {version}"})
    assert (old.asked, new.asked) == ([], [("start", "answer")])
    assert old.is_gone


async def test_a_subscriber_channel_renews_when_restarts_do_not_help():
    renewed, negotiated = [], []

    async def renew():
        renewed.append(True)

    channel = SubscriberChannel(renew, negotiated.append)
    old, new = FakeHandle(), FakeHandle()
    channel.take_over(old)
    sections = {"0": Stream("a", "0", "voice", 4)}
    channel.offer(sdp(1), sections)
    message = await anext(channel)
    assert message["supervised"] == {"peer": "janus", "senders": {"0": 4}}
    assert negotiated == [sections]
    for _ in range(3):
        await channel.request_restart()
    assert (old.asked, renewed) == ([("configure", None)] * 2, [True])
    channel.take_over(new)
    await channel.send({"type": "answer", "sdp": sdp(3)})
    assert old.is_gone
    with pytest.raises(InvalidStateError, match="sends answers"):
        await channel.send({"type": "offer", "sdp": sdp(3)})
    for _ in range(1000):
        new.on_candidate({"candidate": "candidate:x"})
    assert len(channel._inbox.items) <= UNREAD_MAX
    await channel.close()


async def test_what_the_url_and_the_options_say():
    with pytest.raises(ValueError, match="room=1234"):
        join("janus+ws://example.org/")
    with pytest.raises(TypeError, match="'colour'"):
        join("janus+ws://example.org/?room=1", colour=1)
    with pytest.raises(SignalingRefused):
        await raised()


async def raised():
    def change(step, answer):
        return (
            [{**answer, "plugindata": {"data": {"error_code": 426, "error": "No such room"}}}]
            if (step == "join")
            else [answer]
        )

    async with served(FakeJanus(change).serve) as port:
        await join(f"janus+ws://127.0.0.1:{port}/?room=1")

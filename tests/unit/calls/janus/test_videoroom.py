"""A VideoRoom whose Janus lies, stalls, repeats and ends in the middle of each step."""

import asyncio
import json

import pytest

from rtcpeer.calls.events import Ended, ParticipantJoined, ParticipantLeft, Reconnected
from rtcpeer.calls.janus.session import JanusSession
from rtcpeer.calls.joining import join
from rtcpeer.errors import NetworkError, RTCTimeoutError, SignalingRefused
from rtcpeer.testing import synthetic_track
from tests.unit.calls.fakes import Diary
from tests.unit.calls.janus.fakes import FakeJanus
from tests.unit.calls.test_rooms import served


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


@pytest.mark.parametrize("is_before", [True, False])
async def test_news_that_are_read_before_the_list_of_participants(is_before):
    """Who leaves while we ask who is there would stay for ever; who comes would be gone."""
    janus = FakeJanus()

    def change(step, answer):
        if step != "listparticipants":
            return [answer]
        about = {"janus": "event", "sender": answer["sender"]}
        gone = {**about, "plugindata": {"data": {"videoroom": "event", "leaving": 5}}}
        come = {**about, "plugindata": {"data": {"videoroom": "event", "joining": {"id": 6}}}}
        data = {"videoroom": "participants", "participants": [{"id": 5, "publisher": True}]}
        said = {**answer, "janus": "success", "plugindata": {"data": data}}
        return [gone, come, said] if is_before else [said, gone, come]

    janus.change = change
    async with served(janus.serve) as port, join(f"janus+ws://127.0.0.1:{port}/?room=1") as call:
        diary = Diary(call)
        await janus.tell({"videoroom": "event", "joining": {"id": 5}})
        await diary.get(ParticipantJoined)
        await janus.sockets[-1].close()
        await diary.get(Reconnected)
        await diary.get(ParticipantJoined, 2)
        assert set(call.participants) == {"6"}
        await asyncio.sleep(0.05)
        assert janus.steps.count("join") == 1  # nothing of the one who has gone is asked for
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

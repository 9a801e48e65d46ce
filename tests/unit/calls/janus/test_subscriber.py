"""Subscriptions to a Janus that refuses, forgets, drops and says yes without doing it."""

import asyncio
import json

import pytest

from rtcpeer.calls.events import ParticipantJoined, Reconnected
from rtcpeer.calls.joining import join
from tests.unit.calls.fakes import Diary
from tests.unit.calls.janus.fakes import FakeJanus, listing, publishing, refusal, sdp
from tests.unit.calls.test_rooms import served


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


def looking(answer, *mids):
    """An answer that lists the streams of the publisher 5."""
    found = [{"mid": mid, "feed_id": 5, "feed_mid": mid} for mid in mids]
    return {**answer, "plugindata": {"data": {"videoroom": "attached", "streams": found}}}


def coming_back(janus, look):
    """Answers of a Janus in whose room 5 and 6 publish; `look` answers who looks at publishers."""

    def change(step, answer):
        body = janus.asked[-1]
        if step == "listparticipants":
            there = [{"id": id, "publisher": True} for id in (5, 6)]
            data = {"videoroom": "participants", "participants": there}
            return [{**answer, "janus": "success", "plugindata": {"data": data}}]
        if step == "configure":
            return [{**answer, "jsep": {"type": "offer", "sdp": sdp(1)}}]
        streams = body.get("streams", [])
        return look(answer, [s["feed"] for s in streams]) if streams and "mid" not in streams[0] else [answer]

    return change


@pytest.mark.usefixtures("impatient")
async def test_one_who_has_just_gone_hides_nothing_of_the_others():
    """Janus refuses to list the streams of somebody who is not there, and of all who were named together."""
    janus = FakeJanus()
    janus.change = coming_back(
        janus, lambda answer, feeds: [refusal(answer, 6) if 6 in feeds else looking(answer, "0", "2")]
    )
    async with served(janus.serve) as port, join(f"janus+ws://127.0.0.1:{port}/?room=1") as call:
        diary = Diary(call)
        await janus.tell({"videoroom": "event", "publishers": [publishing(5), publishing(6)]})
        await janus.wait_for("join", "join")
        await janus.sockets[-1].close()
        await diary.get(Reconnected)
        body = await janus.wait_for("claim", "listparticipants", "update")
        assert body == {"request": "update", "subscribe": [{"feed": 5, "mid": "2"}]}
        assert call.ignored["publisher is not shown"] == 1
        assert janus.steps.count("attach") - janus.steps.count("detach") == 2
    await diary.task


@pytest.mark.parametrize("is_before", [True, False])
@pytest.mark.usefixtures("impatient")
async def test_news_of_a_publisher_count_more_than_a_list_of_before(is_before):
    """What it says itself may be read before the list that we have asked for."""
    janus = FakeJanus()

    def look(answer, _feeds):
        data = {"videoroom": "event", "publishers": [publishing(5, "0", "3")]}
        news = {"janus": "event", "sender": 2, "plugindata": {"data": data}}
        said = looking(answer, "0", "2")
        return [news, said] if is_before else [said, news]

    janus.change = coming_back(janus, look)
    async with served(janus.serve) as port, join(f"janus+ws://127.0.0.1:{port}/?room=1") as call:
        diary = Diary(call)
        await janus.tell({"videoroom": "event", "publishers": [publishing(5), publishing(6)]})
        await janus.wait_for("join", "join")
        await janus.sockets[-1].close()
        await diary.get(Reconnected)
        await janus.wait_for("claim", "listparticipants", "update")
        await asyncio.sleep(0.1)
        asked = [body["subscribe"] for body in janus.asked if "subscribe" in body]
        assert asked == [[{"feed": 5, "mid": "3"}]]
    await diary.task

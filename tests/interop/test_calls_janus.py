"""A bot in a VideoRoom of a real Janus: with Chromium, over outages of each part, and leaving nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from rtcpeer.calls import (
    Ended,
    Message,
    ParticipantJoined,
    ParticipantLeft,
    ParticipantUpdated,
    Reconnected,
    Reconnecting,
    TrackSubscribed,
    TrackUnsubscribed,
    join,
)
from rtcpeer.calls.janus.session import JanusSession
from rtcpeer.cli.demo.observer import MediaObserver
from rtcpeer.errors import SignalingRefused
from rtcpeer.testing import no_leaks, synthetic_track
from tests.interop.chromium import Chromium, blank_site, until
from tests.interop.janus import Janus, require
from tests.interop.stacks import PICTURE
from tests.unit.calls.fakes import Diary

pytestmark = [pytest.mark.interop, pytest.mark.timeout(400)]

PAGE = Path(__file__).with_name("janus_page.js").read_text()
ROOM = {"videocodec": "vp8", "publishers": 60}


@pytest.fixture(autouse=True)
async def nothing_is_left() -> AsyncIterator[None]:
    require()
    async with no_leaks(grace=3):
        yield


@contextlib.asynccontextmanager
async def sources() -> AsyncIterator[tuple[Any, Any]]:
    camera, voice = synthetic_track("video", PICTURE), synthetic_track("audio")
    try:
        yield camera, voice
    finally:
        camera.stop()
        voice.stop()


def url_of(janus: Janus, room: object = 1234) -> str:
    return f"janus+ws://127.0.0.1:{janus.port}/?room={room}"


async def flowing(track: Any) -> None:
    """Frames arrive that were not there before."""
    async with asyncio.timeout(30):
        for _ in range(15):
            await track.recv()


async def test_a_room_with_two_browsers() -> None:
    """The bot hears and sees both by content, is heard and seen by both, and talks with each."""
    async with Janus() as janus, Chromium() as browser, blank_site() as site, sources() as (camera, voice):
        async with join(url_of(janus), name="bot", create=ROOM) as bot:
            diary = Diary(bot)
            await bot.publish(camera, name="camera")
            await bot.publish(voice, name="voice")
            pages = {}
            for name in ("first", "second"):
                page = pages[name] = await browser.page(site)
                await page.evaluate(PAGE + "; true")
                await page.evaluate(f"joinRoom('ws://127.0.0.1:{janus.port}/', 1234, '{name}')")
            await diary.get(TrackSubscribed, 4, timeout=60)
            observers = {name: MediaObserver() for name in pages}
            for event in diary.of(TrackSubscribed):
                observers[event.participant.name].watch(event.track)
            there = {p.name: p for p in bot.participants.values()}
            assert {name: set(p.tracks) for name, p in there.items()} == {
                "first": {"audio", "video"},
                "second": {"audio", "video"},
            }
            for observer in observers.values():  # the bot sees both
                await until(lambda o=observer: o.seen.video_frames > 10 and o.seen.luma > 20, 120)
                await until(lambda o=observer: o.seen.audio_frames > 50, 120)
            # of several users of the fake microphone one alone gets its beeps
            await until(lambda: max(o.seen.level for o in observers.values()) > 0.005, 120)
            for name, page in pages.items():  # it is seen and heard there
                await page.command("Page.bringToFront")  # a tab in the background shows no frames
                seen = "s.frames > 20 && s.luma > 20 && s.energy > 0"
                await page.wait_for(f"statistics({bot.id}).then(s => {seen})")
                await page.wait_for("page.channel.readyState === 'open'")
                await page.evaluate(f"say('hello from {name}')")
                await bot.send(f"hello {name}", there[name])
                await page.wait_for(f"heard.some(text => JSON.parse(text).text === 'hello {name}')")
            await diary.get(Message, 2)
            said = {m.sender.name: m.data for m in diary.of(Message)}
            assert said == {name: f"hello from {name}" for name in pages}
            for number, page in enumerate(pages.values(), 1):
                await page.evaluate("page.leave() || true")
                await diary.get(ParticipantLeft, number)
                await page.close()
            assert bot.participants == {}
        await diary.task
        for observer in observers.values():
            await observer.close()
        await janus.handles_are_gone()


async def test_two_bots_and_what_may_happen_to_them() -> None:
    async with Janus(reclaim=30) as janus, sources() as (camera, voice):
        alice = await join(url_of(janus), name="alice", create=ROOM, metadata={"hat": "red"})
        bob = await join(url_of(janus), name="bob")
        heard_a, heard_b = Diary(alice), Diary(bob)
        try:
            await alice.publish(camera, name="camera")
            await bob.publish(voice, name="voice")
            track = (await heard_b.get(TrackSubscribed)).track
            other = (await heard_a.get(TrackSubscribed)).track
            await flowing(track)
            assert dict((await heard_b.get(ParticipantUpdated)).participant.metadata) == {"hat": "red"}

            # ICE is restarted from both sides
            alice.service._publisher._peer.restart()
            bob.service._subscriber._peer.restart()
            await heard_a.get(Reconnected)
            await heard_b.get(Reconnected)
            await flowing(track)

            # the WebSocket is lost: the session is claimed, media go on
            await bob.service.session._socket.close()
            await heard_b.get(Reconnected, 2)
            await flowing(track)
            await bob.send("after the loss")
            assert (await heard_a.get(Message)).data == "after the loss"

            # a subscriber's connection is made anew: the track stays
            await bob.service._subscriber._renew()
            await heard_b.get(Reconnected, 3)
            await flowing(track)
            assert len(heard_b.of(TrackSubscribed)) == 1

            # a publisher's connection is made anew: for Janus that is another publication
            alice.service._publisher._peer.recreate()
            track = (await heard_b.get(TrackSubscribed, 2)).track
            await flowing(track)

            # Janus does nothing for 5 s
            async with janus.stopped():
                await asyncio.sleep(5)
            await flowing(track)
            await flowing(other)
            assert [e.name for e in heard_a.of(TrackSubscribed)] == ["voice"]
        finally:
            await alice.close()
            await bob.close()
        assert not [
            e for e in (*heard_a.of(ParticipantLeft), *heard_b.of(ParticipantLeft)) if e.reason != "left"
        ]
        await asyncio.gather(heard_a.task, heard_b.task)
        await janus.handles_are_gone()


async def test_janus_is_started_again() -> None:
    async with Janus(reclaim=30) as janus, sources() as (camera, voice):
        async with (
            join(url_of(janus), name="alice", create=ROOM) as alice,
            join(url_of(janus), name="bob", create=ROOM) as bob,
        ):
            heard_a, heard_b = Diary(alice), Diary(bob)
            await alice.publish(camera)
            await bob.publish(voice)
            before = (await heard_b.get(TrackSubscribed)).track
            await heard_a.get(TrackSubscribed)
            await janus.restart()
            await heard_a.get(Reconnecting)
            await heard_b.get(TrackUnsubscribed)
            assert before.readyState == "ended"
            again = await heard_b.get(TrackSubscribed, 2, timeout=60)
            assert again.participant.name == "alice"
            await flowing(again.track)
            await flowing((await heard_a.get(TrackSubscribed, 2, timeout=60)).track)
        await asyncio.gather(heard_a.task, heard_b.task)
        assert heard_a.of(Ended)[0].reason == "left"
        # of this Janus: the former one was killed with its handles
        await until(lambda: "Destroying session" in janus.log.rpartition("Starting Meetecho")[2], 20)


async def test_what_was_published_while_the_socket_was_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Janus drops what it has to say to a session without a socket: we ask for it when we have claimed ours."""
    gate, connect = asyncio.Event(), JanusSession._connect
    async with Janus(reclaim=30) as janus, sources() as (camera, voice):
        async with (
            join(url_of(janus), name="alice", create=ROOM) as alice,
            join(url_of(janus), name="bob") as bob,
            contextlib.AsyncExitStack() as later,
        ):
            heard = Diary(bob)
            await alice.publish(voice, name="voice")
            await heard.get(TrackSubscribed)

            async def connect_late(session: JanusSession) -> None:
                if session is bob.service.session:
                    await gate.wait()
                await connect(session)

            monkeypatch.setattr(JanusSession, "_connect", connect_late)
            await bob.service.session._socket.close()
            await heard.get(Reconnecting)
            await alice.publish(camera, name="camera")
            carol = await later.enter_async_context(join(url_of(janus), name="carol"))
            await carol.publish(voice, name="song")
            heard_a, heard_c = Diary(alice), Diary(carol)
            await heard_a.get(TrackSubscribed)
            await heard_c.get(TrackSubscribed, 2)
            assert len(heard.of(TrackSubscribed)) == 1
            gate.set()
            await heard.get(TrackSubscribed, 3)
            there = {p.name: set(p.tracks) for p in bob.participants.values()}
            assert there == {"alice": {"voice", "camera"}, "carol": {"song"}}
            for participant in bob.participants.values():
                for track in participant.tracks.values():
                    await flowing(track)
        await asyncio.gather(heard.task, heard_a.task, heard_c.task)


async def test_fifty_others_come_and_go() -> None:
    async with Janus() as janus, sources() as (camera, voice):
        async with join(url_of(janus), name="bot", create=ROOM) as bot:
            diary = Diary(bot)

            async def guest(number: int) -> None:
                async with join(url_of(janus), name=f"guest {number}", timeout=60) as call:
                    await until(lambda: call.id in bot.participants, 60)
                    if number % 5 == 0:
                        await call.publish(camera if number % 10 else voice)
                        await until(lambda: bot.participants[call.id].tracks, 60)
                        await flowing(next(iter(bot.participants[call.id].tracks.values())))

            for begin in range(0, 50, 5):
                await asyncio.gather(*(guest(number) for number in range(begin, begin + 5)))
            await diary.get(ParticipantLeft, 50, timeout=60)
            assert len(diary.of(ParticipantJoined)) == 50
            assert bot.participants == {}
            assert len({e.track.id for e in diary.of(TrackSubscribed)}) == 10
            assert all(e.track.readyState == "ended" for e in diary.of(TrackSubscribed))
            assert len(bot.service.session.handles) <= 2
            assert len(await janus.handles()) <= 2
        await diary.task
        await janus.handles_are_gone()


async def test_refused_removed_and_the_room_is_closed() -> None:
    async with Janus() as janus:
        with pytest.raises(SignalingRefused, match="No such room"):
            await join(url_of(janus, 99))
        room = {**ROOM, "pin": "open", "secret": "key"}
        async with (
            join(url_of(janus) + "&pin=open", name="bot", create=room) as bot,
            janus.session() as session,
        ):
            with pytest.raises(SignalingRefused, match="Unauthorized"):
                await join(url_of(janus) + "&pin=wrong")
            moderator = await session.attach("videoroom")
            await moderator.ask({"request": "kick", "room": 1234, "id": int(bot.id), "secret": "key"})
            assert (await asyncio.wait_for(bot.closed(), 10)).reason == "removed"
            async with join(url_of(janus) + "&pin=open") as bot:
                await moderator.ask({"request": "destroy", "room": 1234, "secret": "key"})
                assert (await asyncio.wait_for(bot.closed(), 10)).reason == "room-closed"
            await moderator.detach()
        await janus.handles_are_gone()

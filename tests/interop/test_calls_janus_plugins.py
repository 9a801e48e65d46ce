"""EchoTest, TextRoom and Streaming of a real Janus as calls."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import imageio_ffmpeg
import pytest

from rtcpeer.calls import (
    Ended,
    Message,
    ParticipantJoined,
    ParticipantLeft,
    Reconnected,
    TrackSubscribed,
    TrackUnsubscribed,
    join,
)
from rtcpeer.cli.demo.observer import MediaObserver
from rtcpeer.errors import NetworkError, NotSupportedError, SignalingRefused
from rtcpeer.testing import no_leaks, synthetic_track
from tests.interop.chromium import until
from tests.interop.janus import Janus, require
from tests.interop.stacks import PICTURE
from tests.unit.calls.fakes import Diary

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]


@pytest.fixture(autouse=True)
async def nothing_is_left() -> AsyncIterator[None]:
    require()
    async with no_leaks(grace=3):
        yield


def url_of(janus: Janus, query: str) -> str:
    return f"janus+ws://127.0.0.1:{janus.port}/?{query}"


async def flowing(track: Any, frames: int = 15) -> None:
    async with asyncio.timeout(30):
        for _ in range(frames):
            await track.recv()


async def test_echo() -> None:
    """What is published comes back by content, over a restart, a lost socket and a Janus that was started again."""
    camera, voice = synthetic_track("video", PICTURE), synthetic_track("audio")
    observer = MediaObserver()
    async with Janus(reclaim=30) as janus:
        async with join(url_of(janus, "echo"), name="bot") as call:
            diary = Diary(call)
            await call.publish(camera, name="camera")
            await call.publish(voice, name="voice")
            for number in (1, 2):
                observer.watch((await diary.get(TrackSubscribed, number)).track)
            assert set(call.participants["echo"].tracks) == {"camera", "voice"}
            await until(lambda: observer.seen.video_frames > 20 and observer.seen.luma > 40, 30)
            await until(lambda: observer.seen.audio_frames > 50 and observer.seen.level > 0.005, 30)
            await call.send("hello")
            assert (await diary.get(Message)).data.endswith("hello")
            service = call.service
            await service.configure(bitrate=256_000)
            track = call.participants["echo"].track("camera")

            async def seen_again(number: int) -> None:
                await diary.get(Reconnected, number, timeout=60)
                before = observer.seen.video_frames
                await until(lambda: observer.seen.video_frames > before + 15, 30)

            service.peer.restart()
            await seen_again(1)
            await service.session._socket.close()
            await seen_again(2)
            service.peer.recreate()
            await seen_again(3)
            await janus.restart()
            await seen_again(4)
            assert call.participants["echo"].track("camera") is track
            assert not diary.of(TrackUnsubscribed)
            with pytest.raises(NotSupportedError):
                await call.set_metadata({"a": 1})
        await diary.task
        await janus.handles_are_gone()
    await observer.close()
    camera.stop()
    voice.stop()


async def test_a_text_room() -> None:
    """Members, messages to all and to one, announcements; a lost connection; kicked; the end of the room."""
    room = {"description": "tests", "secret": "key", "history": 0}
    async with Janus(reclaim=30) as janus:
        url = url_of(janus, "textroom=1234&pin=open")
        room["pin"] = "open"
        with pytest.raises(SignalingRefused, match="No such room"):
            await join(url)
        async with (
            join(url + "&username=alice", name="Alice", create=room) as alice,
            join(url + "&username=bob", name="Bob") as bob,
            join(url + "&username=carol") as carol,
        ):
            heard_a, heard_b, heard_c = Diary(alice), Diary(bob), Diary(carol)
            assert {p.id: p.name for p in bob.participants.values()}["alice"] == "Alice"
            await heard_a.get(ParticipantJoined, 2)
            await bob.send("to all")
            await bob.send("to one", "alice")
            await heard_a.get(Message, 2)
            assert [(m.sender.id, m.data) for m in heard_a.of(Message)] == [
                ("bob", "to all"),
                ("bob", "to one"),
            ]
            await alice.service.announce("dinner", secret="key")
            said = await heard_b.get(Message)
            assert (said.sender, said.data) == (None, "dinner")
            assert (await heard_c.get(Message)).data == "to all"
            with pytest.raises(NotSupportedError):
                await bob.send(b"bytes")

            bob.service.peer.restart()
            await heard_b.get(Reconnected)
            await bob.send("after a restart")
            await heard_a.get(Message, 4)
            await bob.service.renew()  # another connection: another membership under the same name
            await heard_b.get(Reconnected, 2)
            await until(lambda: "bob" in alice.participants, 20)
            await alice.send("are you back?", "bob")
            await heard_b.get(Message, 2)
            with pytest.raises(SignalingRefused, match=r"(?i)taken"):
                await join(url + "&username=alice")
            await alice.service.kick(alice.participants["carol"], secret="key")
            assert (await heard_c.get(Ended)).reason == "removed"
            await until(lambda: "carol" not in alice.participants, 20)
            # it ends alice's own call, perhaps before the answer is here
            with contextlib.suppress(NetworkError):
                await alice.service.ask("destroy", room=1234, secret="key")
            assert (await heard_b.get(Ended)).reason == "room-closed"
            assert heard_a.of(ParticipantLeft)
        await asyncio.gather(heard_a.task, heard_b.task, heard_c.task)
        await janus.handles_are_gone()


@contextlib.asynccontextmanager
async def mountpoint(janus: Janus) -> AsyncIterator[int]:
    """A mountpoint that FFmpeg feeds with a picture and a tone by RTP; its id."""
    media = [  # Janus chooses the ports: it takes them at every address, so one that is free at ours may not do
        {"type": "video", "mid": "v", "label": "camera", "port": 0, "pt": 96, "codec": "vp8"},
        {"type": "audio", "mid": "a", "label": "tone", "port": 0, "pt": 97, "codec": "opus"},
    ]
    async with janus.session() as session:
        handle = await session.attach("streaming")
        created = await handle.ask(
            {
                "request": "create",
                "type": "rtp",
                "id": 7,
                "description": "Test",
                "media": media,
                "secret": "key",
            }
        )
        video, audio = (one["port"] for one in created["stream"]["ports"])
        unread = socket.socket(
            socket.AF_INET, socket.SOCK_DGRAM
        )  # else RTCP goes to the next port: the tone's
        unread.bind(("127.0.0.1", 0))
        rtcp = unread.getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            imageio_ffmpeg.get_ffmpeg_exe(),
            *["-loglevel", "error", "-re", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=15"],
            *["-f", "lavfi", "-i", "sine=frequency=500", "-map", "0:v", "-c:v", "libvpx"],
            *["-deadline", "realtime", "-cpu-used", "8", "-g", "15", "-pix_fmt", "yuv420p", "-f", "rtp"],
            *f"-payload_type 96 rtp://127.0.0.1:{video}?pkt_size=1200&rtcpport={rtcp}".split(),
            *f"-map 1:a -c:a libopus -f rtp -payload_type 97 rtp://127.0.0.1:{audio}?rtcpport={rtcp}".split(),
            stdout=asyncio.subprocess.DEVNULL,
            stdin=asyncio.subprocess.DEVNULL,
        )
        try:
            yield 7
        finally:
            process.kill()
            await process.wait()
            unread.close()
            await handle.detach()


async def test_a_mountpoint() -> None:
    """The viewer sees and hears the stream, over a restart and a new connection, pauses, and hears of its end."""
    observer = MediaObserver()
    async with Janus(reclaim=30) as janus, mountpoint(janus) as number, janus.session() as other:
        with pytest.raises(SignalingRefused, match=r"(?i)no such mountpoint"):
            await join(url_of(janus, "stream=99"))
        async with join(url_of(janus, f"stream={number}")) as call:
            diary = Diary(call)
            for count in (1, 2):
                observer.watch((await diary.get(TrackSubscribed, count)).track)
            assert {e.name for e in diary.of(TrackSubscribed)} == {"camera", "tone"}
            assert call.participants["7"].name == "Test"
            await until(lambda: observer.seen.video_frames > 10 and observer.seen.luma > 40, 30)
            await until(lambda: observer.seen.audio_frames > 30 and observer.seen.level > 0.005, 30)
            assert observer.seen.width == 320
            assert [one["id"] for one in await call.service.mountpoints()] == [7]

            async def seen_again(number: int) -> None:
                await diary.get(Reconnected, number, timeout=60)
                before = observer.seen.video_frames
                await until(lambda: observer.seen.video_frames > before + 10, 30)

            call.service.peer.restart()
            await seen_again(1)
            await call.service.renew()
            await seen_again(2)
            assert len(diary.of(TrackSubscribed)) == 2
            with pytest.raises(NotSupportedError):
                await call.publish(synthetic_track("audio"))
            await call.service.pause()
            await call.service.resume()
            moderator = await other.attach("streaming")
            await moderator.ask({"request": "destroy", "id": 7, "secret": "key"})
            assert (await diary.get(Ended)).reason == "room-closed"
            await moderator.detach()
        await diary.task
    await observer.close()


def test_the_url_names_one_of_them() -> None:
    for query in ("", "room=1&echo", "textroom=", "stream="):
        with pytest.raises(ValueError, match=r"(?i)janus"):
            join(f"janus+ws://127.0.0.1/?{query}")

"""`rtcpeer join` in a room: lines, files, statuses."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import wave
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import av
import pytest

from rtcpeer import MediaStreamTrack
from rtcpeer.calls import ParticipantJoined, ParticipantLeft, TrackSubscribed, join
from rtcpeer.cli.join.join import run_join
from rtcpeer.cli.join.recording import CallRecorder
from rtcpeer.cli.join.table import LiveTable
from rtcpeer.cli.main import build_parser, main
from rtcpeer.signaling import RoomServer, WhipServer
from rtcpeer.testing import no_leaks, synthetic_track
from rtcpeer.testing.net.tls import CertificateAuthority
from tests.unit.calls.fakes import Diary
from tests.unit.cli.schema import check

pytestmark = pytest.mark.timeout(180)


def events(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    check("join", *told)
    return told


async def test_it_plays_shows_and_records(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film, folder = tmp_path / "film.mkv", tmp_path / "heard"
    with av.open(str(film), "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=15)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for number in range(15):
            picture = av.VideoFrame(160, 120, "yuv420p")
            for plane in picture.planes:
                plane.update(bytes([number * 16]) * plane.buffer_size)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    camera, voice = synthetic_track("video", {"width": 160, "height": 120}), synthetic_track("audio")
    async with no_leaks(grace=3), RoomServer() as server:
        url = f"room+{server.url}?room=lobby"
        async with join(url, name="ali/ce") as call:
            diary = Diary(call)
            await call.publish(camera, name="camera")
            await call.publish(voice)
            verb = asyncio.ensure_future(
                run_join(url, name="bot", play=str(film), record=folder, seconds=6, as_json=True)
            )
            seen = await diary.get(TrackSubscribed)
            await seen.track.recv()
            await call.send("hello")
            await diary.get(TrackSubscribed)
            assert await verb == 0
        await diary.task
    camera.stop()
    voice.stop()
    told = events(capsys)
    kinds = [event["event"] for event in told]
    assert kinds[0] == "joined"
    assert kinds[-1] == "ended"
    assert [e["text"] for e in told if e["event"] == "message"] == ["hello"]
    assert {e["track"] for e in told if e["event"] == "track"} == {"camera", "audio"}
    files = sorted(folder.iterdir())
    assert [path.name for path in files] == ["ali_ce-audio.mkv", "ali_ce-camera.mkv"]
    for path, codec in zip(files, ("opus", "vp8"), strict=True):
        with av.open(str(path)) as container:
            assert container.streams[0].codec_context.name.startswith(codec)  # as it was sent
            assert sum(1 for packet in container.demux() if packet.size) > 10


class Silence(MediaStreamTrack):
    """A track that never brings anything."""

    kind = "audio"

    async def recv(self) -> Any:
        await asyncio.get_running_loop().create_future()


async def test_two_recorders_in_one_folder_have_files_of_their_own(tmp_path: Path) -> None:
    """They may be of two programs, so a name is taken by the file itself; of a track that never came nothing stays."""
    voice = synthetic_track("audio")
    recorders = CallRecorder(tmp_path), CallRecorder(tmp_path)
    files = [await one.begin(voice, "alice", "voice") for one in recorders]
    assert [path.name for path in files] == ["alice-voice.mkv", "alice-voice-2.mkv"]
    for one in recorders:
        await one.close()
    voice.stop()
    nothing = Silence()
    silent = await recorders[0].begin(nothing, "bob", "voice")
    assert await recorders[0].end(nothing) is None
    assert not silent.exists()


async def test_ctrl_c_and_a_call_that_cannot_be_joined(capsys: pytest.CaptureFixture[str]) -> None:
    async with no_leaks(grace=3):
        async with RoomServer() as server:
            url = f"room+{server.url}?room=lobby"
            verb = asyncio.ensure_future(run_join(url, as_json=True))
            async with join(url) as call:
                diary = Diary(call)
                await diary.get(ParticipantJoined)
                os.kill(os.getpid(), signal.SIGINT)
                assert await verb == 0
            await diary.task
        assert await run_join(url, as_json=True) == 1
    told = events(capsys)
    assert told[-1]["event"] == "failed"
    assert "cannot be reached" in told[-1]["error"]
    assert [e["reason"] for e in told if e["event"] == "ended"] == ["left"]


async def test_put_out(capsys: pytest.CaptureFixture[str]) -> None:
    """The status of a call that has ended otherwise than by our leaving."""
    async with no_leaks(grace=3), RoomServer() as server:
        url = f"room+{server.url}?room=lobby"
        async with join(url) as call:
            diary = Diary(call)
            verb = asyncio.ensure_future(run_join(url, as_json=True))
            bot = (await diary.get(ParticipantJoined)).participant
            assert await server.kick("lobby", bot.id, "spam")
            assert await verb == 1
        await diary.task
    assert [e["reason"] for e in events(capsys) if e["event"] == "ended"] == ["removed"]


async def test_on_a_terminal() -> None:
    """The table stands below the lines and changes with them; Ctrl-C of the terminal leaves the call in order."""
    async with no_leaks(grace=3), RoomServer() as server:
        url = f"room+{server.url}?room=lobby"
        async with join(url, name="alice") as call:
            diary = Diary(call)
            ours, theirs = os.openpty()
            command = [sys.executable, "-m", "rtcpeer", "join", url, "--name", "bot"]
            process = await asyncio.create_subprocess_exec(
                *command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
            )
            os.close(theirs)
            os.set_blocking(ours, False)
            shown = bytearray()

            def read() -> None:
                with contextlib.suppress(OSError):  # the terminal is gone
                    shown.extend(os.read(ours, 65_536))

            loop = asyncio.get_running_loop()
            loop.add_reader(ours, read)
            try:
                assert (await diary.get(ParticipantJoined, timeout=120)).participant.name == "bot"
                await until(lambda: b"alice" in shown and b"there" in shown)
                await call.set_metadata({"hat": "red"})
                await until(lambda: b'updated alice (metadata {"hat": "red"})' in shown)
                before = shown.count(b"\x1b[J")
                await call.send("hello")
                await until(
                    lambda: b"message alice (text hello)" in shown and shown.count(b"\x1b[J") > before
                )
                process.send_signal(signal.SIGINT)
                assert (await diary.get(ParticipantLeft, timeout=60)).reason == "left"
                assert await asyncio.wait_for(process.wait(), 60) == 0
            finally:
                loop.remove_reader(ours)
                read()
                os.close(ours)
                if process.returncode is None:
                    process.kill()
                    await process.wait()
            assert b"ended (reason left)" in shown
            assert b"Traceback" not in shown
        await diary.task


@contextlib.asynccontextmanager
async def behind_tls(authority: CertificateAuthority, url: str) -> AsyncIterator[str]:
    """The URL of a server behind a proxy that ends TLS."""
    parts = urlsplit(url)

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inside, outside = await asyncio.open_connection(parts.hostname, parts.port)
        await asyncio.gather(pass_on(reader, outside), pass_on(inside, writer))
        for one in (writer, outside):
            with contextlib.suppress(OSError):
                await one.wait_closed()

    context = authority.server_context(["localhost"])
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.ensure_future(serve(reader, writer)))

    async with await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"{parts.scheme}s://localhost:{port}{parts.path}"
        assert tasks
        await asyncio.gather(*tasks)


async def told_by(url: str, film: Path, **environment: str) -> tuple[int | None, list[dict[str, Any]]]:
    """The exit code of `rtcpeer join`, and what it tells."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "rtcpeer", "join", url, "--play", film, "--for", "1", "--json"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | environment,
    )
    said, _ = await process.communicate()
    return process.returncode, [json.loads(line) for line in said.splitlines()]


async def test_services_behind_tls(tmp_path: Path) -> None:
    """Certificates are verified, by the authorities of OpenSSL or of SSL_CERT_FILE."""
    authority = CertificateAuthority()
    trusted = tmp_path / "authority.pem"
    trusted.write_text(authority.pem)
    film = tmp_path / "tone.wav"
    with wave.open(str(film), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(48_000)
        sound.writeframes(bytes(2 * 48_000 * 5))
    async with (
        no_leaks(grace=3),
        RoomServer() as rooms,
        WhipServer(accept_publisher) as whip,
        behind_tls(authority, rooms.url) as room_url,
        behind_tls(authority, whip.url) as whip_url,
    ):
        for url in (f"room+{room_url}?room=lobby", f"whip+{whip_url}/cam"):
            code, told = await told_by(url, film, SSL_CERT_FILE=str(trusted))
            assert (code, told[-1]["event"], told[-1].get("reason")) == (0, "ended", "left"), told
        code, told = await told_by(f"room+{room_url}?room=lobby", film)
        assert (code, told[-1]["event"]) == (1, "failed")
        assert "certificate" in told[-1]["error"].lower()


async def accept_publisher(session: Any) -> None:
    """Take whatever is published."""


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 (a terminal has no event)
            await asyncio.sleep(0.02)


def test_wrong_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["join", "ws://example.org/"]) == 2
    assert "names no service" in capsys.readouterr().err
    assert main(["join", "room+ws://example.org/?room=x", "--play", str(tmp_path / "none.mkv")]) == 2
    assert "none.mkv" in capsys.readouterr().err
    assert build_parser().parse_args(["join", "x", "--for", "3"]).seconds == 3


async def test_the_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    async with RoomServer() as server:
        url = f"room+{server.url}?room=lobby"
        async with join(url, name="alice\x1b[2J" + "x" * 30), join(url, name="bob") as call:
            table = LiveTable(call, lambda event, **_: print(event), wanted=True)
            assert table.draw()[1] == "alice?[2Jxxxxxxxxxxxx...  -" + " " * 45 + "there"
            table("something")
            table("else")
            table.clear()
    out = capsys.readouterr().out
    assert out.startswith("something\nparticipant")
    assert out.count("\x1b[2F\x1b[J") == 2

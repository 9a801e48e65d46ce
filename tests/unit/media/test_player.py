"""The player, with files that are made here, on virtual time."""

from __future__ import annotations

import asyncio
import errno
import struct
import threading
from fractions import Fraction
from itertools import pairwise

import av
import pytest

from rtcpeer.media import file_source
from rtcpeer.media.aiortc_adapter import MediaStreamError
from rtcpeer.media.orientation import quarter_turns
from rtcpeer.media.player import MediaPlayer
from rtcpeer.media.video import annexb
from rtcpeer.testing import run_virtual
from tests.unit.media.test_recorder import picture, piece


def make(path, video=None, audio=None, *, seconds=1.0, audio_seconds=None, options=None, shift=0.0):
    """Write a file: `seconds` of pictures and sound."""
    with av.open(str(path), "w") as container:
        if video:
            pictures = container.add_stream(video, rate=30, options=options or {})
            pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
            pictures.codec_context.time_base = Fraction(1, 90000)
        if audio:
            sound = container.add_stream(audio, rate=48000)
        if video:
            for number in range(round(seconds * 30)):
                container.mux(pictures.encode(picture(number, at=shift + number / 30)))
            container.mux(pictures.encode(None))
        if audio:
            for number in range(round((audio_seconds or seconds) * 50)):
                container.mux(sound.encode(piece(number, layout="stereo", at=shift + number / 50)))
            container.mux(sound.encode(None))
    return str(path)


async def read(track, count=None):
    """Times of what a track gives, with the loop time at which it came, and the content."""
    found, loop = [], asyncio.get_running_loop()
    try:
        while count is None or len(found) < count:
            content = await track.recv()
            found.append((float(content.pts * content.time_base), loop.time(), content))
    except MediaStreamError:
        pass
    return found


def both(player, count=None):
    async def run():
        start = asyncio.get_running_loop().time()
        tracks = [track for track in (player.audio, player.video) if track is not None]
        found = await asyncio.gather(*(read(track, count) for track in tracks))
        player.stop()
        return start, dict(zip([track.kind for track in tracks], found, strict=True))

    return run_virtual(run())


def is_rising(found):
    return all(later[0] > earlier[0] for earlier, later in pairwise(found))


def test_a_film_from_its_beginning_to_its_end(tmp_path):
    path = make(tmp_path / "film.mp4", "libx264", "aac", shift=5.0)
    start, found = both(MediaPlayer(path))
    sound, pictures = found["audio"], found["video"]
    assert len(pictures) == 30
    assert len(sound) == pytest.approx(50, abs=3)
    for kind in (sound, pictures):
        assert is_rising(kind)
        # on time, and together
        assert all(
            when - start == pytest.approx(at - min(sound[0][0], pictures[0][0]), abs=0.06)
            for at, when, _ in kind
        )
    assert pictures[0][0] < 0.1
    assert {(c.width, c.height) for _, _, c in pictures} == {(64, 48)}
    assert {(c.sample_rate, c.layout.name, c.samples) for _, _, c in sound[:-1]} == {(48000, "stereo", 960)}
    for thread in threading.enumerate():
        if thread.name.startswith("rtcpeer-player"):
            thread.join(5)
            assert not thread.is_alive()


@pytest.mark.parametrize("decode", [True, False])
def test_loops_rise_and_stay_together(tmp_path, decode):
    path = make(
        tmp_path / "film.webm",
        "libvpx",
        "libopus",
        seconds=0.6,
        audio_seconds=0.4,
        options={"deadline": "realtime"},
    )
    _start, found = both(MediaPlayer(path, loop=True, decode=decode), 60)
    assert is_rising(found["audio"])
    assert is_rising(found["video"])
    # each repetition takes as long as its longest stream: the second one's pictures begin after 0.6 s
    assert found["video"][18][0] - found["video"][0][0] == pytest.approx(0.6, abs=0.05)
    assert found["video"][36][0] - found["video"][18][0] == pytest.approx(0.6, abs=0.05)
    gaps = [later[0] - earlier[0] for earlier, later in pairwise(found["audio"])]
    assert sum(gap > 0.1 for gap in gaps) in (2, 3)  # the sound is shorter


@pytest.mark.parametrize(("extension", "coder"), [("mp4", "libx264"), ("mkv", "libx264"), ("mp4", "libx265")])
def test_h264_and_h265_leave_as_byte_streams_with_parameter_sets(tmp_path, extension, coder):
    options = {"bf": "0", "g": "15"} | (
        {"x265-params": "log-level=none:bframes=0"} if coder == "libx265" else {}
    )
    path = make(tmp_path / f"film.{extension}", coder, options=options)
    _start, found = both(MediaPlayer(path, decode=False))
    packets = [content for _, _, content in found["video"]]
    assert len(packets) == 30
    assert all(bytes(packet).startswith((b"\0\0\1", b"\0\0\0\1")) for packet in packets)
    decoder = av.CodecContext.create("h264" if coder == "libx264" else "hevc", "r")
    frames = [f for packet in packets for f in decoder.decode(av.Packet(bytes(packet)))] + decoder.decode(
        None
    )
    assert len(frames) == 30
    if coder == "libx264":
        kinds = [unit[0] & 31 for unit in annexb.units(bytes(packets[15]))]
        assert {7, 8, 5} <= set(kinds)
    assert [packet.is_keyframe for packet in packets].index(True) == 0


def test_the_same_bytes_as_in_the_file(tmp_path):
    path = make(tmp_path / "film.webm", "libvpx", "libopus", options={"deadline": "realtime"})
    _start, found = both(MediaPlayer(path, decode=False))
    with av.open(path) as container:
        packets = [(packet.stream.type, bytes(packet)) for packet in container.demux() if packet.size]
    for kind in ("audio", "video"):
        inside = [data for type_, data in packets if type_ == kind]
        assert [bytes(content) for _, _, content in found[kind]] == inside


def test_what_cannot_be_sent_as_it_is_is_decoded_and_said(tmp_path, caplog):
    path = make(tmp_path / "film.mp4", "libx264", "aac", options={"bf": "2", "b-adapt": "0"})
    _start, found = both(MediaPlayer(path, decode=False))
    assert "its audio is aac, which cannot be sent as it is" in caplog.text
    assert "B-pictures" in caplog.text
    assert {type(content) for _, _, content in found["audio"]} == {av.AudioFrame}
    assert {type(content) for _, _, content in found["video"]} == {av.VideoFrame}
    assert is_rising(found["video"])


@pytest.mark.parametrize("pixels", ["yuv420p10le", "yuv444p"])
def test_pictures_that_few_receivers_decode_are_decoded(tmp_path, caplog, pixels):
    path = str(tmp_path / "film.mkv")
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
        stream.codec_context.max_b_frames = 0
        stream.codec_context.time_base = Fraction(1, 90000)
        for number in range(10):
            container.mux(stream.encode(picture(number, at=number / 30).reformat(format=pixels)))
        container.mux(stream.encode(None))
    _start, found = both(MediaPlayer(path, decode=False))
    assert pixels in caplog.text
    assert [type(content) for _, _, content in found["video"]] == [av.VideoFrame] * 10


def test_pictures_that_are_to_be_turned_are_decoded(tmp_path, caplog):
    """A phone that was held upright writes pictures that lie, and how to turn them: packets cannot tell."""
    path = make(tmp_path / "film.mp4", "libx264", options={"bf": "0"}, seconds=0.5)
    with open(path, "rb") as file:
        content = bytearray(file.read())
    # ISO/IEC 14496-12 section 8.3.2: the matrix of the track's header, here a quarter turn
    matrix = content.index(b"tkhd") + 4 + 40
    assert content[matrix : matrix + 4] == b"\0\1\0\0"
    struct.pack_into(">9i", content, matrix, 0, 0x10000, 0, -0x10000, 0, 0, 48 << 16, 0, 0x40000000)
    with open(path, "wb") as file:
        file.write(content)
    _start, found = both(MediaPlayer(path, decode=False))
    assert "to be turned" in caplog.text
    assert [quarter_turns(content) for _, _, content in found["video"]] == [1] * 15


def test_the_cover_of_an_album_is_no_video_track(tmp_path):
    path = str(tmp_path / "song.mp3")
    with av.open(path, "w") as container:
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        sound = container.add_stream("libmp3lame", rate=48000)
        still = picture(0, at=0).reformat(format="yuvj420p")
        still.pts, still.time_base = 0, Fraction(1, 1)
        container.mux(cover.encode(still))
        container.mux(cover.encode(None))
        for number in range(50):
            container.mux(sound.encode(piece(number, layout="stereo", at=number / 50)))
        container.mux(sound.encode(None))
    with av.open(path) as container:
        if not hasattr(container.streams[0], "disposition"):
            pytest.skip("this PyAV does not tell what a stream is for")
    player = MediaPlayer(path)
    assert player.video is None
    _start, found = both(player)
    assert len(found["audio"]) == pytest.approx(50, abs=3)


def test_one_track_alone(tmp_path):
    player = MediaPlayer(make(tmp_path / "film.mp4", "libx264", "aac", seconds=3.0))

    async def run():
        pictures = await read(player.video)
        assert len(pictures) == 90
        assert len(player.audio.store) == 0  # nobody wanted it
        with pytest.raises(MediaStreamError):
            await player.audio.recv()
        assert player.audio.readyState == "ended"
        assert repr(player) == "<MediaPlayer audio and video, ended>"

    run_virtual(run())


def test_a_track_that_is_read_later_begins_with_what_is_now(tmp_path):
    path = make(tmp_path / "film.mp4", "libx264", "aac", seconds=4.0, options={"g": "15", "bf": "0"})
    player = MediaPlayer(path, decode=False)

    async def run():
        await read(player.audio, 125)  # 2.5 s
        packet = await player.video.recv()
        assert packet.is_keyframe
        assert float(packet.pts * packet.time_base) > 2.0
        player.stop()

    run_virtual(run())


def test_a_reader_that_stood_still_is_not_hurried(tmp_path):
    player = MediaPlayer(make(tmp_path / "film.mp4", "libx264", seconds=2.0))

    async def run():
        await read(player.video, 10)
        await asyncio.sleep(5)
        rest = await read(player.video, 30)
        assert rest[-1][1] - rest[1][1] == pytest.approx(28 / 30, abs=0.05)
        player.stop()

    run_virtual(run())


def test_files_that_cannot_be_played(tmp_path):
    with pytest.raises(FileNotFoundError):
        MediaPlayer(str(tmp_path / "nothing.mp4"))
    subtitles = tmp_path / "text.srt"
    subtitles.write_text("1\n00:00:00,000 --> 00:00:01,000\nHello\n")
    with pytest.raises(ValueError, match="neither sound nor pictures"):
        MediaPlayer(str(subtitles))


def test_a_file_that_breaks_off(tmp_path, caplog):
    path = tmp_path / "film.mkv"
    make(path, "libx264", options={"g": "5", "bf": "0"})
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    _start, found = both(MediaPlayer(str(path)))
    assert 5 < len(found["video"]) < 30


class Hindered:
    """A container that now and then has nothing yet, as devices and some streams do."""

    def __init__(self, container, every):
        self._container, self._every, self._given = container, every, 0

    def __getattr__(self, name):
        return getattr(self._container, name)

    def demux(self, *streams):
        for packet in self._container.demux(*streams):
            yield packet
            self._given += 1
            if self._given % self._every == 0:
                raise av.error.BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")


def test_a_device_that_has_nothing_yet_is_asked_again(tmp_path, monkeypatch):
    path = make(tmp_path / "film.mkv", "libx264", options={"g": "5", "bf": "0"})
    opened = av.open
    monkeypatch.setattr(av, "open", lambda **options: Hindered(opened(**options), every=7))
    _start, found = both(MediaPlayer(path))
    assert len(found["video"]) == 30


class Damaged:
    """A packet that no decoder takes."""

    def __init__(self, packet):
        self._packet = packet

    def __getattr__(self, name):
        return getattr(self._packet, name)

    def decode(self):
        raise av.error.InvalidDataError(errno.EINVAL, "Invalid data found when processing input")


class OnABadLine:
    """A container some of whose packets were damaged on their way."""

    def __init__(self, container, numbers):
        self._container, self._numbers = container, numbers

    def __getattr__(self, name):
        return getattr(self._container, name)

    def demux(self, *streams):
        for number, packet in enumerate(self._container.demux(*streams)):
            yield Damaged(packet) if number in self._numbers else packet


def test_a_damaged_picture_costs_those_up_to_the_next_key_frame(tmp_path, monkeypatch, caplog):
    path = make(tmp_path / "film.mkv", "libx264", options={"g": "5", "bf": "0", "x264-params": "scenecut=0"})
    opened = av.open
    monkeypatch.setattr(av, "open", lambda **options: OnABadLine(opened(**options), {7, 22}))
    _start, found = both(MediaPlayer(path))
    numbers = [round(at * 30) for at, _when, _frame in found["video"]]
    assert numbers == [*range(7), *range(10, 22), *range(25, 30)]
    assert is_rising(found["video"])
    assert caplog.text.count("cannot be decoded") == 1


def test_damaged_sound_costs_itself(tmp_path, monkeypatch):
    path = make(tmp_path / "sound.wav", audio="pcm_s16le")
    opened = av.open
    monkeypatch.setattr(av, "open", lambda **options: OnABadLine(opened(**options), {3}))
    _start, found = both(MediaPlayer(path))
    assert is_rising(found["audio"])
    assert found["audio"][-1][0] > 0.9


def test_what_libav_draws_has_pictures_that_are_not_marked_as_key_frames():
    _start, found = both(MediaPlayer("testsrc=size=64x48:rate=30", format="lavfi"), count=3)
    assert [round(at * 30) for at, _when, _frame in found["video"]] == [0, 1, 2]


class WithoutKeys(OnABadLine):
    """A container none of whose pictures is marked as a key frame."""

    def demux(self, *streams):
        return map(Unmarked, self._container.demux(*streams))


class Unmarked(Damaged):
    """A packet that is not marked as a key frame."""

    is_keyframe = False

    def decode(self):
        return self._packet.decode()


def test_a_stream_without_any_key_frame_is_decoded_in_the_end(tmp_path, monkeypatch):
    """Cameras that refresh their pictures by parts send none."""
    path = make(tmp_path / "film.mkv", "libx264", options={"g": "5", "bf": "0", "x264-params": "scenecut=0"})
    opened = av.open
    monkeypatch.setattr(av, "open", lambda **options: WithoutKeys(opened(**options), ()))
    monkeypatch.setattr(file_source, "_KEYLESS_MAX", 3)
    _start, found = both(MediaPlayer(path))
    assert len(found["video"]) == 25

"""The player of programs for aiortc: which tracks there are without decoding."""

from __future__ import annotations

import pytest
from av import Packet, VideoFrame

import rtcpeer
from rtcpeer.aiortc.contrib.media import MediaPlayer
from rtcpeer.testing import run_virtual
from tests.unit.media.test_player import make

VIDEO = {"options": {"g": "5", "bf": "0"}}


def first(track):
    async def run():
        frame = await track.recv()
        track.stop()
        return frame

    return run_virtual(run())


def test_sound_that_cannot_be_sent_as_it_is_has_no_track(tmp_path):
    path = make(tmp_path / "film.mp4", "libx264", "aac", **VIDEO)
    player = MediaPlayer(path, decode=False)

    assert isinstance(player, rtcpeer.MediaPlayer)
    assert player.audio is None
    assert isinstance(first(player.video), Packet)


def test_pictures_that_cannot_be_sent_as_they_are_have_no_track(tmp_path):
    path = make(tmp_path / "film.mkv", "ffv1", "libopus")
    player = MediaPlayer(path, decode=False)

    assert player.video is None
    assert isinstance(first(player.audio), Packet)


def test_nothing_that_can_be_sent_as_it_is(tmp_path):
    path = make(tmp_path / "sound.wav", audio="pcm_s16le")
    player = MediaPlayer(path, decode=False)

    assert (player.audio, player.video) == (None, None)
    player.stop()


def test_with_decoding_all_have_tracks(tmp_path):
    path = make(tmp_path / "film.mkv", "ffv1", "aac")
    player = MediaPlayer(path)

    assert player.audio is not None
    assert isinstance(first(player.video), VideoFrame)
    player.stop()


def test_a_file_with_neither_sound_nor_pictures_is_refused(tmp_path):
    subtitles = tmp_path / "text.srt"
    subtitles.write_text("1\n00:00:00,000 --> 00:00:01,000\nHello\n")
    with pytest.raises(ValueError, match="neither sound nor pictures"):
        MediaPlayer(str(subtitles), decode=False)

from __future__ import annotations

import pytest
from aiortc.mediastreams import AudioStreamTrack

from rtcpeer.media.stream import MediaStream, MediaStreamTrackEvent, add_track, remove_track
from rtcpeer.media.track import RemoteTrack


@pytest.fixture
def tracks():
    return [RemoteTrack("audio", "a"), RemoteTrack("video", "v")]


def test_constructors(tracks):
    stream = MediaStream(tracks)

    assert MediaStream().getTracks() == []
    assert MediaStream(stream).getTracks() == tracks
    assert MediaStream(stream).id != stream.id
    assert MediaStream(id="x").id == "x"
    assert MediaStream(iter(tracks)).getTracks() == tracks


def test_kinds_and_names(tracks):
    stream = MediaStream(tracks)

    assert stream.getAudioTracks() == tracks[:1]
    assert stream.getVideoTracks() == tracks[1:]
    assert stream.getTrackById("v") is tracks[1]
    assert stream.getTrackById("?") is None


def test_active(tracks):
    stream = MediaStream(tracks)
    assert stream.active
    for track in tracks:
        track.stop()

    assert not stream.active
    assert not MediaStream().active


def test_the_program_adds_and_removes_in_silence(tracks):
    stream, log = MediaStream(), []
    stream.onaddtrack = stream.onremovetrack = log.append

    stream.addTrack(tracks[0])
    stream.addTrack(tracks[0])
    stream.removeTrack(tracks[0])
    stream.removeTrack(tracks[0])

    assert stream.getTracks() == log == []


def test_the_library_adds_and_removes_aloud(tracks):
    stream, log = MediaStream(), []
    stream.onaddtrack = stream.onremovetrack = lambda event: log.append((event.type, event.track.id))

    for _ in range(2):
        add_track(stream, tracks[0])
    for _ in range(2):
        remove_track(stream, tracks[0])

    assert log == [("addtrack", "a"), ("removetrack", "a")]


def test_foreign_tracks_are_welcome_and_other_things_are_not():
    track = AudioStreamTrack()

    assert MediaStream([track]).getAudioTracks() == [track]
    for thing in (None, 3, object()):
        with pytest.raises(TypeError):
            MediaStream([thing])


def test_clone(tracks):
    stream = MediaStream([*tracks, AudioStreamTrack()])

    clone = stream.clone()

    assert clone.id != stream.id
    assert [t.kind for t in clone.getTracks()] == ["audio", "video", "audio"]
    assert not {t.id for t in clone.getTracks()} & {t.id for t in stream.getTracks()}


def test_event_needs_a_track(tracks):
    with pytest.raises(TypeError):
        MediaStreamTrackEvent("addtrack")
    assert MediaStreamTrackEvent("addtrack", {"track": tracks[0]}).track is tracks[0]

"""What RTCMediaSourceStats says of the frames of a local track."""

from __future__ import annotations

from array import array

from av import VideoFrame

from rtcpeer.media.pcm import frame_of
from rtcpeer.media.source_statistics import SourceNumbers


def test_sound_has_level_energy_and_duration():
    numbers = SourceNumbers()
    loud = frame_of(array("h", [32767] * 480).tobytes(), 48000, 1, 0)
    silent = frame_of(bytes(960), 48000, 1, 480)
    numbers.count(loud)
    assert numbers.stats("audio")["audioLevel"] > 0.99
    numbers.count(silent)
    numbers.note_dropped(0.02)
    stats = numbers.stats("audio")
    assert stats["audioLevel"] == 0.0
    assert abs(stats["totalAudioEnergy"] - 0.01) < 0.001
    assert abs(stats["totalSamplesDuration"] - 0.02) < 1e-9
    assert (stats["droppedSamplesDuration"], stats["droppedSamplesEvents"]) == (0.02, 1)


def test_pictures_have_their_size_and_the_rate_of_the_last_whole_second(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("rtcpeer.media.source_statistics.wall_time", lambda: now[0])
    numbers = SourceNumbers()
    assert "width" not in numbers.stats("video")
    for number in range(31):
        now[0] = 100.0 + number / 30
        numbers.count(VideoFrame(320, 240, "yuv420p"))
    stats = numbers.stats("video")
    assert (stats["frames"], stats["framesPerSecond"]) == (31, 30.0)
    assert (stats["width"], stats["height"]) == (320, 240)

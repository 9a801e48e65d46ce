from __future__ import annotations

import asyncio
from fractions import Fraction
from itertools import pairwise

import aiortc
import av
import pytest
from aiortc.contrib.media import MediaBlackhole, MediaRelay
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError

from rtcpeer.errors import InvalidStateError, OverconstrainedError
from rtcpeer.media.source import TrackSource
from rtcpeer.media.track import ClonedTrack, MediaStreamTrack, RemoteTrack


class Counter(MediaStreamTrack):
    kind = "video"

    def __init__(self, count=10**9):
        super().__init__()
        self.given, self.count = 0, count

    async def recv(self):
        if self.readyState != "live" or self.given >= self.count:
            raise MediaStreamError
        await asyncio.sleep(0.001)
        self.given += 1
        return self.given


class Control:
    def __init__(self):
        self.demands = 0

    def on_demand(self):
        self.demands += 1


def picture(width=16, height=16, value=100):
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane in frame.planes:
        plane.update(bytes((value,)) * plane.buffer_size)
    return frame


def test_what_w3c_wants():
    track = Counter()

    assert isinstance(track, aiortc.MediaStreamTrack)
    assert track.kind == "video"
    assert len(track.id) == 36
    assert (track.readyState, track.enabled, track.muted, track.label, track.contentHint) == (
        "live",
        True,
        False,
        "",
        "",
    )
    track.enabled = 0
    assert track.enabled is False
    track.contentHint = "motion"
    track.contentHint = "speech"
    assert track.contentHint == "motion"
    assert track.getSettings() == track.getCapabilities() == track.getConstraints() == {}


def test_needs_no_loop_to_be_made():
    assert Counter().readyState == "live"
    assert RemoteTrack("audio").readyState == "live"


def test_stop_by_the_program_is_told_to_aiortc_listeners_only():
    track, log = Counter(), []
    track.on("ended", lambda: log.append("pyee"))
    track.onended = lambda event: log.append("w3c")

    track.stop()
    track.stop()

    assert log == ["pyee"]
    assert track.readyState == "ended"


def test_the_end_of_the_source_is_told_to_all():
    track, log = Counter(), []
    track.on("ended", lambda: log.append("pyee"))
    track.addEventListener("ended", lambda event: log.append(event.target))

    track.end()
    track.end()

    assert log == ["pyee", track]


def test_muting():
    track, log = Counter(), []
    track.onmute = track.onunmute = lambda event: log.append(event.type)

    for muted in (True, True, False):
        track.set_muted(muted)
    track.stop()
    track.set_muted(True)

    assert log == ["mute", "unmute"]
    assert not track.muted


async def test_constraints():
    track = Counter()
    given = {"width": {"ideal": 1}}
    await track.applyConstraints(given)
    given["width"]["ideal"] = 2

    assert track.getConstraints() == {"width": {"ideal": 1}}
    await track.applyConstraints()
    assert track.getConstraints() == {}
    track.stop()
    with pytest.raises(InvalidStateError):
        await track.applyConstraints({})


async def test_what_a_remote_track_has_is_up_to_the_other_end():
    track = RemoteTrack("video", "name")
    assert track.getCapabilities() == {}
    for name in ("width", "height", "frameRate", "aspectRatio"):
        with pytest.raises(OverconstrainedError) as caught:
            await track.applyConstraints({name: {"ideal": 3}})
        assert (caught.value.name, caught.value.constraint) == ("OverconstrainedError", name)
    await track.applyConstraints({"deviceId": "x"})
    reader = asyncio.ensure_future(track.recv())
    await asyncio.sleep(0)
    for n in range(3):
        frame = picture(value=n)
        frame.pts, frame.time_base = n * 3000, Fraction(1, 90000)
        track.push_frame(frame)
    await reader
    settings = track.getSettings()
    assert settings["frameRate"] == pytest.approx(30)
    assert settings["aspectRatio"] == settings["width"] / settings["height"]


async def test_a_clone_sees_each_frame_and_goes_its_own_way():
    track = Counter()
    clones = [track.clone(), track.clone()]
    got = [await asyncio.gather(*(clone.recv() for clone in clones)) for _ in range(5)]
    clones[0].stop()

    assert all(a == b for a, b in got)
    assert clones[0].id != track.id
    assert clones[1].readyState == track.readyState == "live"
    with pytest.raises(MediaStreamError):
        await clones[0].recv()
    clones[1].stop()
    await asyncio.sleep(0)
    assert track.readyState == "live"


async def test_the_end_of_the_original_ends_its_clones():
    track, log = Counter(count=2), []
    clone = track.clone()
    clone.onended = lambda event: log.append("ended")

    assert [await clone.recv(), await clone.recv()] == [1, 2]
    with pytest.raises(MediaStreamError):
        await clone.recv()

    assert log == ["ended"]


def test_a_clone_of_an_ended_track_and_of_a_foreign_one():
    track = Counter()
    track.label = "cam"
    track.enabled = False
    assert (track.clone().label, track.clone().enabled) == ("cam", False)
    track.stop()
    assert track.clone().readyState == "ended"
    foreign = ClonedTrack(AudioStreamTrack())
    assert (foreign.kind, foreign.readyState) == ("audio", "live")


async def test_consumers_that_are_slow_lose_the_oldest():
    track = Counter()
    fast, slow = TrackSource.of(track).subscribe(), TrackSource.of(track).subscribe()

    frames = [await fast.get() for _ in range(20)]

    assert frames == list(range(1, 21))
    assert slow.dropped >= 15
    assert await slow.get() > 15
    fast.close()
    slow.close()
    assert await slow.get() is None
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == 1


async def test_a_track_is_left_in_peace_without_consumers():
    track = Counter()
    subscription = TrackSource.of(track).subscribe()
    await subscription.get()
    subscription.close()
    await asyncio.sleep(0.01)
    given = track.given
    await asyncio.sleep(0.01)

    assert track.given == given
    assert TrackSource.of(track) is TrackSource.of(track)


async def test_a_source_does_not_keep_its_track():
    import gc
    import weakref

    track = Counter()
    subscription = TrackSource.of(track).subscribe()
    await subscription.get()
    subscription.close()
    await asyncio.sleep(0.005)
    reference = weakref.ref(track)
    del track, subscription
    gc.collect()

    assert reference() is None


def test_a_source_that_ended_with_its_loop_does_not_keep_its_track():
    import gc
    import weakref

    async def main():
        track = Counter()
        subscription = TrackSource.of(track).subscribe()
        await subscription.get()
        return track, subscription

    track, subscription = asyncio.run(main())
    reference = weakref.ref(track)
    del track, subscription
    gc.collect()

    assert reference() is None


async def test_an_ended_track_gives_nothing():
    track = Counter()
    track.stop()

    assert await TrackSource.of(track).subscribe().get() is None


async def test_a_track_whose_recv_fails_has_ended(caplog):
    class Broken(MediaStreamTrack):
        kind = "video"

        async def recv(self):
            raise RuntimeError("no camera")

    track, told = Broken(), []
    track.onended = lambda event: told.append(event.type)

    assert await TrackSource.of(track).subscribe().get() is None
    assert (track.readyState, told) == ("ended", ["ended"])
    assert "no camera" in caplog.text


async def test_a_track_that_stops_itself_and_returns_nothing_has_ended(caplog):
    class Generated(MediaStreamTrack):
        kind = "video"
        calls = 0

        async def recv(self):
            self.calls += 1
            self.stop()

    track = Generated()

    assert await TrackSource.of(track).subscribe().get() is None
    await asyncio.sleep(0)
    assert track.calls == 1
    assert caplog.text == ""


async def test_a_remote_track_is_bounded_and_latest_wins():
    track = RemoteTrack("video", "name")
    reader = asyncio.ensure_future(track.recv())
    await asyncio.sleep(0)
    for n in range(100):
        track.push_frame(picture(value=n))

    first = await reader

    assert track.id == "name"
    assert bytes(first.planes[0])[0] >= 97 - 60
    assert track.dropped > 0
    assert track.getSettings()["width"] == 16


@pytest.mark.parametrize("as_clone", [False, True])
async def test_a_reader_that_stalls_for_a_moment_gets_every_picture(monkeypatch, as_clone):
    now = 1000.0
    for module in ("rtcpeer.media.track", "rtcpeer.media.source"):
        monkeypatch.setattr(f"{module}.wall_time", lambda: now)
    track = RemoteTrack("video")
    read = track.clone() if as_clone else track
    first = asyncio.ensure_future(read.recv())
    await asyncio.sleep(0)
    track.push_frame(picture(value=0))
    await first
    seen = []
    for n in range(1, 61):
        now += 1 / 30
        track.push_frame(picture(value=n))
        # it reads what there is, then its own encoder holds it up for 200 ms
        if n % 6 == 0:
            seen += [bytes((await read.recv()).planes[0])[0] for _ in range(6)]

    assert seen == list(range(1, 61))
    assert track.dropped == 0


async def test_who_comes_back_after_a_while_gets_what_is_now(monkeypatch):
    track = RemoteTrack("video")
    reader = asyncio.ensure_future(track.recv())
    await asyncio.sleep(0)
    for n in range(5):
        track.push_frame(picture(value=n))
    await reader
    monkeypatch.setattr("rtcpeer.media.track.DEMAND_LIFETIME", 0.0)
    assert not track.wants_frames()

    reader = asyncio.ensure_future(track.recv())
    await asyncio.sleep(0)
    track.push_frame(picture(value=77))

    assert bytes((await reader).planes[0])[0] == 77


async def test_settings_of_sound_are_known_before_it_is_decoded():
    track = RemoteTrack("audio")
    assert "channelCount" not in track.getSettings()

    track.on_audio_format(48000, 2)

    assert track.getSettings()["channelCount"] == 2
    assert track.getSettings()["sampleRate"] == 48000


async def test_a_remote_track_that_nobody_reads_asks_for_nothing(monkeypatch):
    track, control = RemoteTrack("video"), Control()
    track.set_control(control)
    assert not track.wants_frames()
    track.push_frame(picture())
    assert not track._frames_

    reader = asyncio.ensure_future(track.recv())
    await asyncio.sleep(0)
    assert track.wants_frames()
    track.push_frame(picture())
    await reader
    # a reader between two reads is still a reader, for a while
    assert track.wants_frames()
    assert control.demands == 1
    monkeypatch.setattr("rtcpeer.media.track.DEMAND_LIFETIME", 0.0)
    assert not track.wants_frames()


async def test_a_cancelled_reader_harms_nobody():
    track = RemoteTrack("audio")
    readers = [asyncio.ensure_future(track.recv()) for _ in range(2)]
    await asyncio.sleep(0)
    readers[0].cancel()
    await asyncio.sleep(0)

    track.push_frame(picture())

    assert (await readers[1]).width == 16


async def test_a_remote_track_feeds_its_clones_beside_its_reader():
    track = RemoteTrack("video")
    clone = track.clone()
    tasks = [asyncio.ensure_future(t.recv()) for t in (track, clone)]
    await asyncio.sleep(0)
    track.push_frame(picture(value=1))
    assert [bytes(f.planes[0])[0] for f in await asyncio.gather(*tasks)] == [1, 1]

    # stopping the original leaves the clone alone (mediacapture-main 4.3.1)
    track.stop()
    clone.enabled = False
    task = asyncio.ensure_future(clone.recv())
    await asyncio.sleep(0)
    assert track.wants_frames()
    track.push_frame(picture(value=200))
    assert bytes((await task).planes[0])[0] == 16
    task = asyncio.ensure_future(clone.recv())
    await asyncio.sleep(0)
    track.end()
    with pytest.raises(MediaStreamError):
        await task
    assert clone.readyState == "ended"


async def test_a_disabled_remote_track_is_black():
    track = RemoteTrack("video")
    track.enabled = False
    task = asyncio.ensure_future(track.recv())
    await asyncio.sleep(0)
    track.push_frame(picture(value=200))

    assert bytes((await task).planes[0])[0] == 16


async def test_flow():
    track, log = RemoteTrack("audio"), []
    track.onmute = track.onunmute = lambda event: log.append(event.type)

    track.on_flow(True)
    track.on_flow(True)
    track.on_flow(False)

    assert log == ["unmute", "mute"]


async def test_aiortcs_relay_and_blackhole_take_our_tracks():
    track = RemoteTrack("video")
    relayed = MediaRelay().subscribe(track)
    task = asyncio.ensure_future(relayed.recv())
    await asyncio.sleep(0.001)
    track.push_frame(picture())
    assert (await task).width == 16

    other = RemoteTrack("video")
    sink = MediaBlackhole()
    sink.addTrack(other)
    await sink.start()
    await asyncio.sleep(0)
    other.push_frame(picture())
    await asyncio.sleep(0)
    await sink.stop()
    track.end()
    await asyncio.sleep(0.001)


def test_a_repr():
    track = RemoteTrack("audio", "x")

    assert repr(track) == "<RemoteTrack audio x live>"


def timed(seconds, time_base=Fraction(1, 90000)):
    frame = picture()
    frame.pts, frame.time_base = round(seconds / time_base), time_base
    return frame


def test_times_go_on_over_receivers(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("rtcpeer.media.track.wall_time", lambda: clock[0])
    track = RemoteTrack("video")
    seen = []
    track.add_tap(lambda frame: seen.append(float(frame.pts * frame.time_base)), lambda: None)
    track.set_control(Control())
    track.push_frame(timed(7.0))
    track.set_control(Control())  # another receiver, whose times begin at 0, two seconds later
    clock[0] += 2
    track.push_frame(timed(0.0, Fraction(1, 48000)))
    track.push_frame(timed(0.5, Fraction(1, 48000)))
    track.set_control(Control())  # and one whose times are far ahead, at once
    track.push_frame(timed(5000.0))
    assert seen == pytest.approx([7.0, 9.0, 9.5, 9.501], abs=0.0002)
    assert all(later > earlier for earlier, later in pairwise(seen))

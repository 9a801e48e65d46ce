"""Which track of an earlier connection a new one is."""

from types import SimpleNamespace
from typing import Any

import pytest

from rtcpeer.media.stream import MediaStream
from rtcpeer.media.track import RemoteTrack
from rtcpeer.supervisor.remote_tracks import RemoteTracks


class Receiver:
    def __init__(self, track: RemoteTrack) -> None:
        self.track = track

    def exchangeTrack(self, track: RemoteTrack | None = None) -> RemoteTrack:
        before, self.track = self.track, track or RemoteTrack(self.track.kind)
        return before


def announce(kind: str = "video", mid: str = "0") -> Any:
    track = RemoteTrack(kind)
    stream = MediaStream([track])
    receiver = Receiver(track)
    return SimpleNamespace(
        track=track, receiver=receiver, streams=[stream], transceiver=SimpleNamespace(mid=mid)
    )


@pytest.mark.parametrize(
    ("before", "after", "is_same"),
    [
        (("video", "0", None), ("video", "0", None), True),
        (("video", "0", None), ("video", "1", None), False),
        (("video", "0", None), ("audio", "0", None), False),
        (("video", "0", 7), ("video", "3", 7), True),
        (("video", "0", 7), ("video", "0", 8), False),
        (("video", "0", 7), ("audio", "0", 7), False),
        (("video", "0", None), ("video", "0", 7), True),
        (("video", "0", 7), ("video", "0", None), True),
    ],
)
@pytest.mark.parametrize("is_closed_first", [True, False])
def test_matching(before: Any, after: Any, is_same: bool, is_closed_first: bool) -> None:
    tracks = RemoteTracks()
    first, second = announce(*before[:2]), announce(*after[:2])
    own, other = first.track, second.track
    assert tracks.take("pc 1", first, before[2])
    own.on_flow(True)
    if is_closed_first:
        tracks.detach("pc 1")
        assert first.receiver.track is not own
        assert own.muted
    assert tracks.take("pc 2", second, after[2]) is not is_same
    if is_same:
        assert second.receiver.track is own
        assert first.receiver.track is not own
        assert second.streams[0].getTracks() == [own]
    else:
        assert second.receiver.track is other
    tracks.detach("pc 1")
    tracks.end_unmatched()
    assert own.readyState == ("live" if is_same else "ended")
    assert other.readyState == "live"
    tracks.detach("pc 2")
    tracks.end_unmatched()
    assert own.readyState == "ended"


def test_each_track_is_given_once() -> None:
    tracks = RemoteTracks()
    first = [announce("video", str(n)) for n in range(3)]
    for event in first:
        assert tracks.take("pc 1", event, None)
    assert tracks.take("pc 1", first[0], None)  # told again, by the same connection
    own = [event.track for event in first]
    second = [announce("video", str(n)) for n in (2, 0, 1)]
    assert not any(tracks.take("pc 2", event, None) for event in second)
    assert [event.receiver.track for event in second] == [own[2], own[0], own[1]]
    extra = announce("video", "0")
    assert tracks.take("pc 2", extra, None)


def test_a_track_that_the_application_has_stopped_is_not_given_again() -> None:
    tracks = RemoteTracks()
    first = announce()
    tracks.take("pc 1", first, 1)
    first.track.stop()
    second = announce()
    assert tracks.take("pc 2", second, 1)


def test_connections_of_another_stack_announce_each_time() -> None:
    tracks = RemoteTracks()
    for number in range(2):
        event = announce()
        event.receiver = SimpleNamespace(track=event.track)
        assert tracks.take(f"pc {number}", event, None)
        tracks.detach(f"pc {number}")

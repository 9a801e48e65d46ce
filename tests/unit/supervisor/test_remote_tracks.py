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


@pytest.mark.parametrize("sender", [None, 7])
def test_a_track_is_followed_over_many_connections(sender: int | None) -> None:
    tracks = RemoteTracks()
    first = announce(mid="0")
    own = first.track
    connections: list[Any] = [object() for _ in range(4)]
    tracks.take(connections[0], first, sender)
    for number in range(1, 4):
        tracks.detach(connections[number - 1])
        event = announce(mid="0" if sender is None else str(number))
        assert not tracks.take(connections[number], event, sender)
        assert event.receiver.track is own
    # the connection that feeds it now is the last one
    tracks.detach(connections[0])
    tracks.end_unmatched()
    assert own.readyState == "live"
    tracks.detach(connections[3])
    tracks.end_unmatched()
    assert own.readyState == "ended"


def test_the_connection_that_had_a_track_gets_another_while_it_lives() -> None:
    tracks = RemoteTracks()
    first, second, third = announce(), announce(), announce()
    tracks.take("pc 1", first, None)
    tracks.take("pc 2", second, None)
    # the first one feeds what nobody has: its end changes nothing
    assert first.receiver.track is second.track
    tracks.take("pc 3", third, None)
    assert third.receiver.track is first.track
    assert second.receiver.track is third.track


def test_what_is_told_again_is_known_by_its_new_place() -> None:
    tracks = RemoteTracks()
    first = announce(mid="0")
    tracks.take("pc 1", first, None)
    first.transceiver.mid = "4"
    assert tracks.take("pc 1", first, None)
    tracks.detach("pc 1")
    moved = announce(mid="4")
    assert not tracks.take("pc 2", moved, None)
    assert moved.receiver.track is first.track

    named = announce(mid="5")
    assert tracks.take("pc 2", named, None)
    assert tracks.take("pc 2", named, 9)
    tracks.detach("pc 2")
    there = announce(mid="8")
    assert not tracks.take("pc 3", there, 9)
    assert there.receiver.track is named.track


def test_a_number_goes_before_a_section() -> None:
    """Sections move: that of another sender may now stand where a track's was."""
    tracks = RemoteTracks()
    first, second = announce(mid="0"), announce(mid="1")
    tracks.take("pc 1", first, 1)
    tracks.take("pc 1", second, 2)
    swapped = announce(mid="0")
    assert not tracks.take("pc 2", swapped, 2)
    assert swapped.receiver.track is second.track


def test_only_tracks_of_the_connection_that_is_closed_are_muted_and_wait() -> None:
    tracks = RemoteTracks()
    first, second = announce(mid="0"), announce(mid="1")
    for pc, event in (("pc 1", first), ("pc 2", second)):
        tracks.take(pc, event, None)
        event.track.on_flow(True)
    tracks.detach("pc 1")
    assert (first.track.muted, second.track.muted) == (True, False)
    assert second.receiver.track is second.track
    tracks.end_unmatched()
    assert (first.track.readyState, second.track.readyState) == ("ended", "live")
    # what has ended is not ended again, nor given to anybody
    assert tracks.take("pc 3", announce(mid="0"), None)


def test_a_track_that_has_ended_waits_for_nobody() -> None:
    tracks = RemoteTracks()
    first = announce()
    tracks.take("pc 1", first, None)
    track = first.track
    track.stop()
    tracks.detach("pc 1")
    assert first.receiver.track is track


def test_a_connection_of_another_stack_after_one_of_ours_announces_anew() -> None:
    tracks = RemoteTracks()
    first = announce()
    tracks.take("pc 1", first, None)
    tracks.detach("pc 1")
    other = announce()
    other.receiver = SimpleNamespace(track=other.track)
    assert tracks.take("pc 2", other, None)
    tracks.detach("pc 2")
    assert other.receiver.track is other.track
    tracks.end_unmatched()
    assert (first.track.readyState, other.track.readyState) == ("ended", "live")

"""Records of a call: the other participants, and tracks of ours."""

from types import SimpleNamespace
from typing import Any

from rtcpeer.calls.participant import Participant, Publication


def track(kind: str) -> Any:
    return SimpleNamespace(kind=kind)


def test_tracks_are_found_by_name_before_kind():
    participant = Participant("1", "alice", {"role": "guest"})
    camera, screen, sound = track("video"), track("video"), track("audio")
    participant.put_track("camera", camera)
    participant.put_track("screen", screen)
    participant.put_track("video", sound)
    assert participant.track("screen") is screen
    assert participant.track("video") is sound
    assert participant.track("audio") is sound
    assert participant.take_track("video") is sound
    assert participant.track("video") is camera
    assert participant.track("audio") is None
    participant.tracks.clear()
    assert set(participant.tracks) == {"camera", "screen"}


def test_a_muted_track_is_news_once_and_none_once_it_is_gone():
    participant = Participant("1", None, {})
    participant.put_track("camera", track("video"))
    assert participant.mark_muted("camera", True)
    assert not participant.mark_muted("camera", True)
    assert participant.muted == {"camera"}
    participant.take_track("camera")
    assert participant.muted == frozenset()


async def test_a_publication_tells_its_service_of_changes_only():
    told: list[bool] = []

    async def mute(publication: Publication) -> None:
        told.append(publication.muted)

    async def unpublish(publication: Publication) -> None:
        raise AssertionError("nobody has taken it out")

    publication = Publication(track("audio"), "mic", unpublish=unpublish, mute=mute)
    await publication.unmute()
    await publication.mute()
    await publication.mute()
    await publication.unmute()
    assert told == [True, False]

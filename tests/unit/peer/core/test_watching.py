"""Watchers of a connection."""

from __future__ import annotations

from rtcpeer.media.event_target import Event
from rtcpeer.peer.core.watching import Watchers


class Notes:
    def __init__(self) -> None:
        self.told: list[tuple[str, ...]] = []

    def on_call(self, what: str, detail: str) -> None:
        self.told.append((what, detail))

    def on_event(self, event: Event) -> None:
        self.told.append((event.type,))

    def on_closing(self) -> None:
        self.told.append(("closing",))


class Broken(Notes):
    def on_event(self, event: Event) -> None:
        raise ValueError("broken")


def test_passwords_do_not_reach_watchers():
    watchers = Watchers(lambda *_: None)
    notes = Notes()
    watchers.add(notes)
    text = "a=ice-ufrag:abcd\r\na=ICE-PWD:secret\r\na=crypto:1 AES inline:secret\r\nice-pwd secret to the end\r\n"
    watchers.call("setLocalDescription", "offer", text)
    ((what, detail),) = notes.told
    assert what == "setLocalDescription"
    assert detail.startswith("offer, sdp: a=ice-ufrag:abcd\r\n")
    assert "secret" not in detail


def test_a_watcher_that_fails_harms_nobody():
    failures: list[tuple[str, BaseException]] = []
    watchers = Watchers(lambda what, error: failures.append((what, error)))
    notes = Notes()
    watchers.add(Broken())
    watchers.add(notes)
    watchers.event(Event("track"))
    assert notes.told == [("track",)]
    ((what, error),) = failures
    assert what == "Broken.on_event of a watcher failed"
    assert str(error) == "broken"


def test_after_the_end_and_after_removal_nothing_is_told():
    watchers = Watchers(lambda *_: None)
    stays, goes = Notes(), Notes()
    watchers.add(stays)
    watchers.add(goes)
    watchers.remove(goes)
    watchers.remove(goes)
    watchers.closing()
    watchers.closing()
    watchers.event(Event("track"))
    assert stays.told == [("closing",)]
    assert goes.told == []

"""What is published beside what was subscribed to: nothing is forgotten, nothing asked too often."""

import random

from hypothesis import given
from hypothesis import strategies as st

from rtcpeer.calls.janus.subscriptions import ATTEMPTS_MAX, PAUSES, Subscriptions

VOICE, CAMERA, CHAT = ("a", "0"), ("a", "1"), ("a", "2")
STREAMS = {"0": ("voice", True), "1": ("camera", True), "2": ("", False)}


def test_what_is_new_and_what_is_gone():
    subscriptions = Subscriptions()
    assert subscriptions.tell("a", STREAMS)
    assert not subscriptions.tell("a", STREAMS)
    missing = subscriptions.missing(0)
    assert set(missing) == {VOICE, CAMERA, CHAT} == set(subscriptions.wanted(0))
    assert len(set(missing.values())) == 3
    subscriptions.accepted(missing)
    assert (subscriptions.missing(0), subscriptions.superfluous()) == ({}, set())
    assert subscriptions.tell("a", {"0": ("voice", True)})
    assert subscriptions.superfluous() == {CAMERA, CHAT}
    subscriptions.accepted({}, {CAMERA, CHAT})
    assert not subscriptions.superfluous()
    assert subscriptions.has("a")
    assert subscriptions.tell("a", {})
    assert not subscriptions.has("a")
    assert not subscriptions.tell("a", {})


def test_another_publication_of_the_same_feed_and_mid():
    """It came before anything was asked, or before Janus said yes to the former one."""
    subscriptions = Subscriptions()
    subscriptions.tell("a", STREAMS)
    first = subscriptions.missing(0)
    subscriptions.tell("a", {})
    subscriptions.tell("a", STREAMS)
    subscriptions.accepted(first)
    again = subscriptions.missing(0)
    assert set(again) == set(first)
    assert not set(again.values()) & set(first.values())
    assert subscriptions.find(VOICE).number == again[VOICE]


def test_what_is_refused_is_asked_again_after_growing_pauses_until_it_was_often_enough():
    subscriptions, now, pauses = Subscriptions(), 0.0, []
    subscriptions.tell("a", {"0": ("voice", True)})
    for _ in range(ATTEMPTS_MAX):
        assert set(subscriptions.missing(now)) == {VOICE}
        subscriptions.refused(VOICE, now)
        assert not subscriptions.missing(now)
        due = subscriptions.next_due()
        if due is not None:
            pauses.append(due - now)
            assert not subscriptions.missing(due - 0.01)
            now = due
    assert tuple(pauses[: len(PAUSES)]) == PAUSES
    assert len(pauses) == ATTEMPTS_MAX - 1
    assert subscriptions.next_due() is None
    assert not subscriptions.wanted(1e9)
    assert not subscriptions.missing(1e9)
    assert subscriptions.tell("a", {"0": ("voice", True)})  # the room names it again
    assert set(subscriptions.missing(now)) == {VOICE}


def test_what_waits_is_wanted_by_a_new_handle_that_has_nothing_else():
    subscriptions = Subscriptions()
    subscriptions.tell("a", {"0": ("voice", True)})
    subscriptions.refused(VOICE, 0)
    assert set(subscriptions.wanted(0)) == {VOICE}
    subscriptions.tell("b", {"0": ("voice", True)})
    assert set(subscriptions.wanted(0)) == {("b", "0")}


def test_janus_lists_what_counts():
    subscriptions = Subscriptions()
    subscriptions.tell("a", STREAMS)
    subscriptions.accepted(subscriptions.missing(0))
    assert not subscriptions.listed({VOICE: "", CAMERA: ""}, 0)  # data are never listed
    assert subscriptions.listed({VOICE: ""}, 0)
    assert set(subscriptions.missing(PAUSES[0])) == {CAMERA}
    assert not subscriptions.listed({VOICE: "", CAMERA: ""}, 0)  # it has come by itself
    assert not subscriptions.missing(PAUSES[0])
    subscriptions.begin_handle()
    assert set(subscriptions.missing(0)) >= {VOICE, CHAT}


def test_all_streams_of_a_feed_whose_streams_are_not_known():
    subscriptions = Subscriptions()
    subscriptions.tell("a", {"": ("", True)})
    subscriptions.accepted(subscriptions.missing(0))
    assert not subscriptions.listed({VOICE: "voice", CAMERA: "camera"}, 0)
    assert not subscriptions.missing(0)
    assert not subscriptions.superfluous()
    voice, camera = subscriptions.find(VOICE), subscriptions.find(CAMERA)
    assert (voice.name, camera.name) == ("voice", "camera")
    assert voice.number != camera.number
    subscriptions.tell("a", {"0": ("voice", True)})
    assert subscriptions.superfluous() == {CAMERA}


@given(st.integers(0, 2**32))
def test_whatever_the_order_in_the_end_all_that_is_published_is_subscribed_to(seed):
    """A Janus whose news arrive late, and that refuses, forgets, and ends subscriptions with their publication."""
    chance, subscriptions = random.Random(seed), Subscriptions()
    now, serial = 0.0, 0
    there: dict[str, int] = {}  # feed -> which publication
    served: dict[str, int] = {}  # feed -> the publication that we are subscribed to
    news: list[tuple[str, bool]] = []

    def hear():
        feed, is_there = news.pop(0)
        subscriptions.tell(feed, {"0": ("", True)} if is_there else {})

    def ask():
        missing = subscriptions.missing(now)
        gone = [key for key in missing if key[0] not in there]
        if gone:
            for key in gone:
                subscriptions.refused(key, now)
            return
        for feed, _ in missing:
            if chance.random() < 0.8:  # else Janus says yes and does nothing
                served[feed] = there[feed]
        subscriptions.accepted(missing, subscriptions.superfluous())

    for _ in range(60):
        feed = chance.choice("abc")
        step = chance.choice(("change", "change", "hear", "hear", "ask", "list", "renew"))
        if step == "change":
            serial += 1
            if there.pop(feed, None) is None:
                there[feed] = serial
            served.pop(feed, None)
            news.append((feed, feed in there))
        elif step == "hear" and news:
            hear()
        elif step == "ask":
            ask()
        elif step == "list":
            subscriptions.listed({(feed, "0"): "" for feed in served}, now)
        elif step == "renew":
            served.clear()
            subscriptions.begin_handle()
        now += chance.random()
    while news:
        hear()
    for _ in range(200):
        subscriptions.listed({(feed, "0"): "" for feed in served}, now)
        now = subscriptions.next_due() or now
        now = max(now, 0.0)
        if subscriptions.missing(now):
            ask()
    assert served == there
    assert not subscriptions.missing(now)
    assert not subscriptions.superfluous()

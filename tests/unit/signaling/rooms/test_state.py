"""The state of rooms: numbers, acknowledgements, who is away, bounds. No socket."""

import json

import pytest

from rtcpeer.signaling.rooms.link import MemberLink
from rtcpeer.signaling.rooms.state import EVENTS, Rooms, Submission, lost_text, public_text
from rtcpeer.signaling.rooms.tokens import Identity, read_token_untrusted, sign_token
from rtcpeer.signaling.rooms.wire import CLOSE_KICKED, CLOSE_SLOW, CLOSE_SUPERSEDED, RoomError
from tests.unit.signaling.roomkit import entry, make_rooms, message


def test_enter_relay_leave() -> None:
    rooms, told = make_rooms()
    assert rooms.enter(entry("a")).opened
    entered = rooms.enter(entry("b"))
    assert not entered.opened
    assert entered.members == ['{"id":"a","name":"A","metadata":{},"away":false}']
    assert told.of("a") == [
        {"seq": 1, "type": "joined", "member": {"id": "b", "name": "B", "metadata": {}, "away": False}}
    ]
    rooms.submit("b", "socket-b", 1, message("a", "b"), 0)
    assert told.of("a", "message") == [{"seq": 2, "type": "message", "from": "b", "message": {"n": 1}}]
    rooms.leave("b", "another socket")
    assert rooms.presence("lobby") == 2
    rooms.leave("b", "socket-b")
    rooms.leave("b", "socket-b")
    assert told.of("a", "left") == [{"seq": 3, "type": "left", "id": "b", "reason": "left"}]
    rooms.leave("a", "socket-a")
    assert rooms.presence("lobby") == 0
    assert repr(rooms) == "<Rooms 0 rooms, 0 members, 0 away>"


def test_refusals() -> None:
    rooms, _ = make_rooms(max_rooms=1, max_members=2)
    for refused, code in (
        (entry("a", mode="join"), "not-found"),
        (entry("a", mode="open"), ""),
        (entry("b", mode="open"), "exists"),
        (entry("b", "other"), "full"),
        (entry("b"), ""),
        (entry("c"), "full"),
    ):
        if code:
            with pytest.raises(RoomError) as caught:
                rooms.enter(refused)
            assert caught.value.code == code
        else:
            rooms.enter(refused)
    assert not rooms.enter(entry("b")).opened  # asked again, since the answer was lost: it is in already
    assert rooms.presence("lobby") == 2


def test_what_was_not_acknowledged_comes_again_once_and_in_order() -> None:
    rooms, told = make_rooms()
    rooms.enter(entry("a"))
    rooms.enter(entry("b"))
    for number in range(1, 21):
        rooms.submit("a", "socket-a", number, message("b", "a", number), 0)
    rooms.acknowledge("b", "socket-b", 5)
    rooms.acknowledge("b", "socket-b", 999)  # never given
    rooms.lose("b", "not its socket", 0)
    rooms.lose("b", "socket-b", 0)
    assert told.of("a", "away") == [{"seq": 2, "type": "away", "id": "b"}]
    for number in range(21, 31):
        rooms.submit("a", "socket-a", number, message("b", "a", number), 1)
    assert len(told.of("b")) == 20
    back = rooms.resume("b", "lobby", "another", 12)
    assert back is not None
    assert (back.seq, back.received) == (12, 0)
    assert [seq for seq, _ in back.missed] == list(range(13, 31))
    assert back.members == ['{"id":"a","name":"A","metadata":{},"away":false}']
    assert told.of("a", "back") == [{"seq": 3, "type": "back", "id": "b"}]
    assert rooms.next_expiry is None


@pytest.mark.parametrize("received", [0, 4, 31])
def test_a_resume_that_cannot_be_complete_is_refused(received: int) -> None:
    rooms, _ = make_rooms()
    rooms.enter(entry("a"))
    rooms.enter(entry("b"))
    for number in range(1, 31):
        rooms.submit("a", "socket-a", number, message("b", "a", number), 0)
    rooms.acknowledge("b", "socket-b", 5)
    assert rooms.resume("b", "lobby", "another", received) is None
    assert rooms.resume("b", "another room", "another", 10) is None
    assert rooms.resume("c", "lobby", "another", 0) is None


def test_a_number_that_was_seen_is_done_and_one_left_out_is_refused() -> None:
    rooms, told = make_rooms()
    rooms.enter(entry("a"))
    rooms.enter(entry("b"))
    for seq in (1, 1, 2, 1, 2):
        rooms.submit("a", "socket-a", seq, message("b", "a", seq), 0)
    assert [f["message"]["n"] for f in told.of("b")] == [1, 2]
    with pytest.raises(RoomError) as caught:
        rooms.submit("a", "socket-a", 4, message("b", "a"), 0)
    assert caught.value.code == "bad-frame"


def test_the_newest_socket_wins_and_the_old_one_is_powerless() -> None:
    rooms, told = make_rooms()
    rooms.enter(entry("a"))
    rooms.enter(entry("b"))
    assert rooms.resume("b", "lobby", "new", 0) is not None
    assert told.detached == [("b", "socket-b", CLOSE_SUPERSEDED)]
    with pytest.raises(RoomError) as caught:
        rooms.submit("b", "socket-b", 1, message("a", "b"), 0)
    assert caught.value.code == "superseded"
    rooms.leave("b", "socket-b")
    rooms.lose("b", "socket-b", 0)
    rooms.acknowledge("b", "socket-b", 1)
    assert rooms.presence("lobby") == 2
    assert [f["type"] for f in told.of("a")] == ["joined"]


def test_who_is_away_too_long_is_gone() -> None:
    rooms, told = make_rooms(grace=5)
    for id_ in "abc":
        rooms.enter(entry(id_))
    rooms.lose("b", "socket-b", 0)
    rooms.lose("c", "socket-c", 1)
    assert rooms.next_expiry == 5
    rooms.expire(5)
    assert rooms.next_expiry == 6
    rooms.expire(6)
    assert [(f["id"], f["reason"]) for f in told.of("a", "left")] == [("b", "expired"), ("c", "expired")]
    assert rooms.resume("b", "lobby", "new", 0) is None


@pytest.mark.parametrize("kind", ["message", "broadcast"])
def test_a_message_that_finds_no_place_is_reported_to_its_sender(kind: str) -> None:
    rooms, told = make_rooms(backlog=1000)
    rooms.enter(entry("a"))
    rooms.enter(entry("b"))
    rooms.lose("b", "socket-b", 0)
    for seq in range(1, 12):
        sent = message("b", "a", seq)
        rooms.submit(
            "a", "socket-a", seq, sent if kind == "message" else Submission("broadcast", text=sent.text), 0
        )
    assert rooms.backlog_bytes("b") <= 1000
    lost = [(f["number"], f["to"], f["code"]) for f in told.of("a", "lost")]
    back = rooms.resume("b", "lobby", "new", 0)
    assert back is not None
    kept = len(back.missed)
    assert told.of("b") == []
    assert lost == [(seq, "b", "backlog") for seq in range(kept + 1, 12)]
    assert 3 < kept < 11


def test_a_client_that_acknowledges_nothing_is_closed_as_slow() -> None:
    rooms, told = make_rooms(backlog=1000)
    rooms.enter(entry("a"))
    rooms.enter(entry("b"))
    for seq in range(1, 12):
        rooms.submit("a", "socket-a", seq, message("b", "a", seq), 0)
    assert told.detached == [("b", "socket-b", CLOSE_SLOW)]
    assert len(told.of("a", "away")) == 1
    assert rooms.presence("lobby") == 2


def test_events_beyond_all_bounds_remove_the_member() -> None:
    rooms, told = make_rooms(backlog=1000)
    rooms.enter(entry("a"))
    rooms.enter(entry("b"))
    rooms.lose("b", "socket-b", 0)
    for seq in range(1, 3001):
        text = '{"type":"metadata","id":"a","metadata":{}}'
        rooms.submit("a", "socket-a", seq, Submission("metadata", text=text, public=entry("a").public), 0)
    assert [f["reason"] for f in told.of("a", "left")] == ["backlog"]
    assert rooms.presence("lobby") == 1


def test_any_number_of_members_may_be_removed_because_of_one() -> None:
    """Each that is removed is an event for the others, and so the last straw for the next: not one inside the other."""
    rooms, told = make_rooms(max_members=2000, backlog=100_000)
    names = [f"m{number:04}" for number in range(500)]
    for name in ("a", *names):
        rooms.enter(entry(name))
        rooms.acknowledge("a", "socket-a", len(told.of("a")))
    for name in names:
        rooms._members[name].backlog_bytes = 100_000 + EVENTS
    rooms.leave(names[0], f"socket-{names[0]}")
    assert rooms.presence("lobby") == 1
    assert [f["id"] for f in told.of("a", "left")] == names
    assert {f["reason"] for f in told.of("a", "left")[1:]} == {"backlog"}


def test_kick_needs_permission_and_stays_in_the_room() -> None:
    rooms, told = make_rooms()
    rooms.enter(entry("a", may_kick=True))
    rooms.enter(entry("b"))
    rooms.enter(entry("c", room="other"))
    rooms.submit("b", "socket-b", 1, Submission("kick", "a"), 0)
    assert told.of("b", "lost") == [{"seq": 1, "type": "lost", "number": 1, "to": "a", "code": "forbidden"}]
    wrong = [(kind, to) for kind in ("kick", "message", "close") for to in ("c", "nobody", "a")]
    for seq, (kind, to) in enumerate(wrong, 1):
        rooms.submit("a", "socket-a", seq, Submission(kind, to, '{"type":"x"}'), 0)  # type: ignore[arg-type]
    assert [f["code"] for f in told.of("a", "lost")] == ["no-member"] * 9
    assert not rooms.kick("lobby", "c", "")
    rooms.submit("a", "socket-a", 10, Submission("kick", "b", reason="spam"), 0)
    assert told.detached == [("b", "socket-b", CLOSE_KICKED)]
    assert told.of("a", "left")[-1]["reason"] == "kicked"
    assert rooms.resume("b", "lobby", "new", 0) is None
    assert rooms.presence("other") == 1


def test_metadata_is_seen_by_who_comes_later() -> None:
    rooms, told = make_rooms()
    rooms.enter(entry("a"))
    rooms.enter(entry("b"))
    public = '{"id":"a","name":"A","metadata":{"hand":"up"},"away":false}'
    text = '{"type":"metadata","id":"a","metadata":{"hand":"up"}}'
    rooms.submit("a", "socket-a", 1, Submission("metadata", text=text, public=public), 0)
    assert told.of("b") == [{"seq": 1, "type": "metadata", "id": "a", "metadata": {"hand": "up"}}]
    rooms.lose("a", "socket-a", 0)
    assert rooms.enter(entry("c")).members[0] == public.replace("false", "true")


# -- bounds, and who is meant


def submitted(rooms: Rooms, sender: str, seq: int, to: str, text: str) -> None:
    rooms.submit(sender, f"socket-{sender}", seq, Submission("message", to, text), 0)


def test_what_waits_is_counted_up_to_the_bound() -> None:
    """The same numbers as in the script for Redis: a frame costs 100 bytes besides."""
    text = '{"type":"x"}'
    cost = len(text) + 100
    rooms, told = make_rooms(backlog=2 * cost)
    rooms.enter(entry("b"))
    rooms.enter(entry("a"))
    rooms.acknowledge("b", "socket-b", 1)
    assert rooms.backlog_bytes("b") == 0
    submitted(rooms, "a", 1, "b", text)
    submitted(rooms, "a", 2, "b", text)
    assert rooms.backlog_bytes("b") == 2 * cost
    assert told.of("a", "lost") == []
    submitted(rooms, "a", 3, "b", text)
    assert [f["number"] for f in told.of("a", "lost")] == [3]
    assert rooms.resume("b", "lobby", "new", 2) is not None
    assert rooms.backlog_bytes("b") == cost
    rooms.acknowledge("b", "new", 3)
    assert rooms.backlog_bytes("b") == 0
    submitted(rooms, "a", 4, "b", text)
    submitted(rooms, "a", 5, "b", text)
    assert len(told.of("a", "lost")) == 1


def test_events_are_kept_up_to_their_own_bound() -> None:
    text = '{"type":"metadata","x":"' + "x" * 76 + '"}'  # 102 characters, so 202 bytes
    changes = (1000 + EVENTS) // 202
    rooms, told = make_rooms(backlog=1000)
    rooms.enter(entry("b"))
    rooms.enter(entry("a"))
    rooms.acknowledge("b", "socket-b", 1)
    for seq in range(1, changes + 1):
        rooms.submit("a", "socket-a", seq, Submission("metadata", text=text, public=entry("a").public), 0)
    assert rooms.presence("lobby") == 2
    assert told.detached == []
    rooms.submit("a", "socket-a", changes + 1, Submission("metadata", text=text, public=entry("a").public), 0)
    assert told.detached == [("b", "socket-b", CLOSE_SLOW)]
    assert [(f["id"], f["reason"]) for f in told.of("a", "left")] == [("b", "backlog")]
    assert rooms.presence("lobby") == 1


def test_only_the_socket_of_a_member_speaks_for_it() -> None:
    rooms, told = make_rooms()
    rooms.enter(entry("b"))
    rooms.enter(entry("a"))
    waiting = rooms.backlog_bytes("b")
    rooms.acknowledge("b", "socket-a", 1)
    rooms.acknowledge("b", "", 1)
    rooms.acknowledge("nobody", "socket-b", 1)
    assert rooms.backlog_bytes("b") == waiting > 0
    for id, attach in (("b", "socket-a"), ("nobody", "socket-b"), ("b", "")):
        rooms.lose(id, attach, 0)
        rooms.leave(id, attach)
        with pytest.raises(RoomError) as caught:
            rooms.submit(id, attach, 1, message("a", "b"), 0)
        assert caught.value.code == "superseded"
    assert rooms.presence("lobby") == 2
    assert [f["type"] for f in told.of("b")] == ["joined"]


def test_who_is_away_already_is_not_lost_again() -> None:
    rooms, told = make_rooms(grace=5)
    rooms.enter(entry("a"))
    rooms.enter(entry("b"))
    rooms.lose("b", "socket-b", 0)
    rooms.lose("b", "socket-b", 3)
    rooms.lose("b", "", 3)
    assert rooms.next_expiry == 5
    assert len(told.of("a", "away")) == 1
    rooms.expire(4.999)
    assert rooms.presence("lobby") == 2
    rooms.expire(5)
    assert rooms.presence("lobby") == 1


def test_who_is_back_is_not_removed_when_its_time_would_be_over() -> None:
    rooms, told = make_rooms(grace=5)
    rooms.enter(entry("a"))
    rooms.enter(entry("b"))
    rooms.submit("b", "socket-b", 1, message("a", "b"), 0)
    rooms.lose("b", "socket-b", 0)
    assert rooms.enter(entry("c")).members == [
        entry("a").public,
        entry("b").public.replace('"away":false', '"away":true'),
    ]
    back = rooms.resume("b", "lobby", "new", 0)
    assert back is not None
    assert (back.opened, back.received, back.seq) == (False, 1, 0)
    assert [json.loads(text)["type"] for _, text in back.missed] == ["joined"]
    assert rooms.enter(entry("d")).members[1] == entry("b").public
    rooms.expire(100)
    assert rooms.presence("lobby") == 4
    # the same socket again: it is not its own successor
    again = rooms.resume("b", "lobby", "new", 2)
    assert again is not None
    assert again.missed == []
    assert told.detached == []
    assert len(told.of("a", "back")) == 1


@pytest.mark.parametrize(("received", "missed"), [(5, 25), (29, 1), (30, 0)])
def test_a_resume_from_any_number_that_is_still_there(received: int, missed: int) -> None:
    rooms, _ = make_rooms()
    rooms.enter(entry("a"))
    rooms.enter(entry("b"))
    for number in range(1, 31):
        rooms.submit("a", "socket-a", number, message("b", "a", number), 0)
    rooms.acknowledge("b", "socket-b", 5)
    back = rooms.resume("b", "lobby", "new", received)
    assert back is not None
    assert [seq for seq, _ in back.missed] == list(range(31 - missed, 31))


def test_with_nothing_kept_only_the_last_number_can_be_resumed() -> None:
    rooms, _ = make_rooms()
    rooms.enter(entry("a"))
    rooms.enter(entry("b"))
    rooms.submit("a", "socket-a", 1, message("b", "a"), 0)
    rooms.submit("a", "socket-a", 2, message("b", "a"), 0)
    rooms.acknowledge("b", "socket-b", 2)
    assert rooms.resume("b", "lobby", "new", 1) is None
    assert rooms.resume("b", "lobby", "new", 3) is None
    assert rooms.resume("b", "lobby", "new", 2) is not None


def test_a_broadcast_reaches_all_others_and_names_those_it_did_not_reach() -> None:
    rooms, told = make_rooms(backlog=400)
    for id_ in "abc":
        rooms.enter(entry(id_))
    rooms.acknowledge("a", "socket-a", 2)
    rooms.acknowledge("b", "socket-b", 1)
    submitted(rooms, "a", 1, "b", '{"type":"' + "x" * 279 + '"}')
    told.frames.clear()
    rooms.submit("a", "socket-a", 2, Submission("broadcast", text='{"type":"hello"}'), 7)
    assert [f["type"] for f in told.of("c")] == ["away", "hello"]
    assert [(f["number"], f["to"]) for f in told.of("a", "lost")] == [(2, "b")]
    assert told.of("a", "hello") == []
    assert rooms.next_expiry == 7 + 30


def test_kicking_from_outside() -> None:
    rooms, told = make_rooms()
    rooms.enter(entry("a"))
    rooms.enter(entry("b"))
    rooms.enter(entry("c"))
    rooms.lose("c", "socket-c", 0)
    assert not rooms.kick("other", "b", "")
    assert not rooms.kick("lobby", "nobody", "")
    assert rooms.kick("lobby", "b", "spam")
    assert not rooms.kick("lobby", "b", "spam")
    assert rooms.kick("lobby", "c", "spam")  # away: it has no socket that could be closed
    assert told.detached == [("b", "socket-b", CLOSE_KICKED)]
    assert [(f["id"], f["reason"]) for f in told.of("a", "left")] == [("b", "kicked"), ("c", "kicked")]
    assert rooms.next_expiry is None
    assert repr(rooms) == "<Rooms 1 rooms, 1 members, 0 away>"


def test_the_room_may_be_closed_and_opened_again() -> None:
    rooms, _ = make_rooms(max_rooms=1)
    assert rooms.enter(entry("a")).opened
    rooms.leave("a", "socket-a")
    entered = rooms.enter(entry("b", "other", mode="open"))
    assert (entered.opened, entered.members, entered.received, entered.seq, entered.missed) == (
        True,
        [],
        0,
        0,
        [],
    )


def test_a_member_is_described_in_json() -> None:
    assert public_text("m", None, {"a": [1, "\u00e9"]}, away=True) == (
        '{"id":"m","name":null,"metadata":{"a":[1,"\\u00e9"]},"away":true}'
    )
    with pytest.raises(ValueError, match="JSON"):
        public_text("m", "n", {"a": float("nan")})
    assert json.loads(lost_text(3, 'no"body', "no-member"))["to"] == 'no"body'


# -- the client's half


def test_a_link_keeps_frames_until_they_are_acknowledged() -> None:
    link = MemberLink(10_000)
    for number in range(5):
        link.put({"type": "close", "to": str(number)})
    assert [link.next_text() for _ in range(6)][::5] == ['{"seq":1,"type":"close","to":"0"}', None]
    link.acknowledge(2)
    assert (len(link), link.oldest) == (3, 3)
    link.resume(3)
    assert link.next_text() == '{"seq":4,"type":"close","to":"3"}'
    assert [frame["to"] for frame in link.restart()] == ["3", "4"]
    assert (len(link), link.oldest, link.next_text()) == (0, 0, None)


def test_a_link_takes_what_arrives_once() -> None:
    link = MemberLink(10_000)
    assert link.arrive(None, 5)
    assert [link.arrive(seq, 5) for seq in (1, 1, 2)] == [True, False, True]
    assert [link.misses(seq) for seq in (None, 1, 3, 4)] == [False, False, False, True]
    assert link.owes
    assert not link.owes_now
    assert link.acknowledgement() == '{"type":"ack","seq":2}'
    assert not link.owes


# -- tokens


def test_tokens() -> None:
    identity = Identity("m", "lobby", "alice")
    token = sign_token(b"secret", identity)
    assert read_token_untrusted(b"secret", token) == identity
    assert read_token_untrusted(b"other", token) is None
    for place in range(0, len(token), 7):
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        assert read_token_untrusted(b"secret", changed) is None
    for guess in ("", "guess", "\u2603", "=" * 50, "A" * 43, "A" * 2000):
        assert read_token_untrusted(b"secret", guess) is None

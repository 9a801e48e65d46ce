"""Any sequence of valid calls on two engines ends stable and consistent; refusals change nothing."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from rtcpeer.errors import RtcPeerError
from rtcpeer.jsep.state import SessionState
from rtcpeer.values import Direction, SdpType, SignalingState
from tests.unit.jsep.support import Peer, host, negotiate, pair

DIRECTIONS = [Direction.SENDRECV, Direction.SENDONLY, Direction.RECVONLY, Direction.INACTIVE]
STEPS = st.one_of(
    st.tuples(st.just("transceiver"), st.sampled_from(["audio", "video"]), st.sampled_from(DIRECTIONS)),
    st.tuples(st.just("track"), st.sampled_from(["audio", "video"])),
    st.tuples(st.just("remove"), st.integers(0, 5)),
    st.tuples(st.just("stop"), st.integers(0, 5)),
    st.tuples(st.just("direction"), st.integers(0, 5), st.sampled_from(DIRECTIONS)),
    st.tuples(st.just("streams"), st.integers(0, 5), st.lists(st.sampled_from(["x", "y"]), max_size=2)),
    st.tuples(st.just("data")),
    st.tuples(st.just("restart")),
    st.tuples(st.just("local")),
    st.tuples(st.just("create")),
    st.tuples(st.just("deliver")),
    st.tuples(st.just("pranswer")),
    st.tuples(st.just("rollback local")),
    st.tuples(st.just("rollback remote")),
    st.tuples(st.just("candidate")),
    st.tuples(st.just("negotiate")),
)


def pick(peer: Peer, number: int) -> int | None:
    records = peer.state.transceivers
    return records[number % len(records)].id if records else None


def step(me: Peer, other: Peer, action: tuple[object, ...]) -> None:
    """One call; what is refused must leave everything as it was."""
    before, engine = me.state, me.engine
    try:
        match action:
            case ("transceiver", str(kind), Direction() as direction):
                me.transceiver(kind, direction)
            case ("track", str(kind)):
                me.track(kind, "s")
            case ("remove", int(n)) if (id := pick(me, n)) is not None:
                me.carry_out(engine.operations.plan_remove_track(id))
            case ("stop", int(n)) if (id := pick(me, n)) is not None:
                me.carry_out(engine.operations.plan_stop(id))
            case ("direction", int(n), Direction() as direction) if (id := pick(me, n)) is not None:
                me.carry_out(engine.operations.plan_set_direction(id, direction))
            case ("streams", int(n), list(streams)) if (id := pick(me, n)) is not None:
                me.carry_out(engine.operations.plan_set_streams(id, streams))
            case ("data",):
                me.want_data()
            case ("restart",):
                me.carry_out(engine.operations.plan_restart_ice())
            case ("local",):
                me.local()
            case ("create",):
                me.offer(ice_restart=True)
            case ("pranswer",):
                me.local(SdpType.PRANSWER)
            case ("deliver",):
                description = other.state.pending_local
                if description is None and me.signaling is not SignalingState.STABLE:
                    description = other.state.current_local
                if description is not None:
                    me.remote(description.type, description.text)
            case ("rollback local",):
                me.local(SdpType.ROLLBACK)
            case ("rollback remote",):
                me.remote(SdpType.ROLLBACK, "")
            case ("candidate",):
                for transport in me.state.transports:
                    if transport.local is not None:
                        found = me.found(transport.id, host(len(transport.candidates) + 1))
                        if found is not None:
                            other.carry_out(
                                other.engine.plan_remote_candidate(found.text, found.mid, None, found.ufrag)
                            )
            case ("negotiate",):
                settle(me, other)
                negotiate(me, other)
    except RtcPeerError:
        if action[0] in ("candidate", "negotiate"):
            return  # several calls in one step
        if not (action[0] == "deliver" and me.state.signaling is SignalingState.STABLE):
            assert me.state is before


def settle(*peers: Peer) -> None:
    """Bring both back to stable, the only way out of a half-done exchange that no answer can complete."""
    for peer in peers:
        if peer.signaling is SignalingState.HAVE_LOCAL_OFFER:
            peer.local(SdpType.ROLLBACK)
        elif peer.signaling is SignalingState.HAVE_REMOTE_OFFER:
            peer.remote(SdpType.ROLLBACK, "")


def agree(a: Peer, b: Peer) -> None:
    """Both sides see the same session."""
    for mine, theirs in ((a, b), (b, a)):
        for record in mine.state.transceivers:
            if record.mid is None or record.stopping:
                continue
            other = next((t for t in theirs.state.transceivers if t.jsep_mid == record.mid), None)
            assert other is not None
            assert other.kind is record.kind
            if not other.stopping:
                assert record.current_direction is not None
                assert other.current_direction is record.current_direction.reversed
                if record.current_direction.sends:
                    sent = {(c.mime_type, c.payload_type) for c in record.send_codecs}
                    taken = {(c.mime_type, c.payload_type) for c in other.receive_codecs}
                    assert sent
                    assert sent <= taken
                    assert set(other.remote_stream_ids) == {
                        s for s in stream_ids(mine, record.mid) if s != "-"
                    }


def stream_ids(peer: Peer, mid: str) -> list[str]:
    description = peer.state.current_local
    assert description is not None
    index = description.session.find(mid)
    assert index is not None
    return [m.stream for m in description.session.media[index].msids]


@settings(max_examples=300)
@given(st.lists(st.tuples(st.booleans(), STEPS), max_size=24))
def test_any_sequence_ends_stable_and_consistent(script: list[tuple[bool, tuple[object, ...]]]) -> None:
    a, b = pair()
    for first, action in script:
        me, other = (a, b) if first else (b, a)
        if me.signaling.value.endswith("pranswer") and action[0] == "negotiate":
            continue
        if other.signaling.value.endswith("pranswer") and action[0] == "negotiate":
            continue
        step(me, other, action)
    if any(p.signaling.value.endswith("pranswer") for p in (a, b)):
        return
    settle(a, b)
    if out_of_step(a, b):
        return  # one side went back while the other had completed: no longer one session
    for _ in range(3):
        negotiate(a, b)
        negotiate(b, a)
    agree(a, b)
    assert not a.engine.negotiation_needed()
    assert not b.engine.negotiation_needed()


def out_of_step(a: Peer, b: Peer) -> bool:
    """Whether the two no longer hold each other's descriptions."""

    def base(state: SessionState) -> tuple[str | None, str | None]:
        local, remote = state.current_local, state.current_remote
        return (local.session.origin if local else None, remote.session.origin if remote else None)  # type: ignore[return-value]

    mine, theirs = base(a.state), base(b.state)
    return mine != (theirs[1], theirs[0])


@settings(max_examples=200)
@given(st.lists(st.tuples(st.booleans(), STEPS), max_size=12), st.booleans())
def test_offer_and_rollback_is_identity(script: list[tuple[bool, tuple[object, ...]]], remote: bool) -> None:
    a, b = pair()
    for first, action in script:
        step(*((a, b) if first else (b, a)), action)
    if any(p.signaling.value.endswith("pranswer") for p in (a, b)):
        return
    settle(a, b)
    if out_of_step(a, b):
        return
    before = essence(b.state if remote else a.state)
    text = a.local()
    if remote:
        b.remote(SdpType.OFFER, text)
        b.remote(SdpType.ROLLBACK, "")
        # webrtc-pc: an offer that rejects a section stops its transceiver for good, rollback or not
        stopped = {t.id for t in b.state.transceivers if t.stopped}
        assert without(essence(b.state), stopped) == without(before, stopped)
    else:
        a.local(SdpType.ROLLBACK)
        assert essence(a.state) == before


def without(state: SessionState, ids: set[int]) -> SessionState:
    return replace(state, transceivers=tuple([t for t in state.transceivers if t.id not in ids]))


def essence(state: SessionState) -> SessionState:
    """The state without what only counts up and without what was created and not set."""
    return replace(
        state,
        last_offer=None,
        last_answer=None,
        next_transceiver=0,
        next_transport=0,
        next_mid=0,
        session_version=0,
        versioned=None,
        transceivers=tuple(
            [
                replace(
                    t,
                    fired_direction=None if t.current_direction is None else t.fired_direction,
                    parameters_revision=0,
                )
                for t in state.transceivers
            ]
        ),
    )

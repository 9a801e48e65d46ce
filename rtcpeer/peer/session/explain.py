"""Why a connection is where it is, in sentences: the logic behind ``RTCPeerConnection.explain()``.

Owns: which facts matter, and how to say them. Each sentence has a code that stays when its words change.
Never: a connection, a clock, I/O; it is given a picture (`rtcpeer.peer.session.diagnosis` takes it), so that every case
can be tried without one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from rtcpeer.errors import RTCError
from rtcpeer.ice.agent.listener import IceCandidateError
from rtcpeer.ice.agent.stats import AgentStats, CandidateStats, PairStats
from rtcpeer.ice.pair import PairStatus
from rtcpeer.peer.session.diagnosis import (
    ConnectionSnapshot,
    Finding,
    Level,
    TransportSnapshot,
    printable,
    server_problem,
)
from rtcpeer.values import (
    Candidate,
    DtlsTransportState,
    IceGatheringState,
    IceTransportState,
    PeerConnectionState,
    SctpTransportState,
    SignalingState,
)

# A pair's transmissions without an answer from which on it counts as unanswered (0.7 s at the default times).
_PATIENCE = 4
_PAIRS_SHOWN = 8


def explain(picture: ConnectionSnapshot) -> list[Finding]:
    """All that can be said: how things stand first, then problems, what is awaited, and the facts."""
    if picture.closed:
        return [Finding("closed", "The connection is closed: close() was called on this side.")]
    found = [*_signaling(picture)]
    for transport in picture.transports:
        name = f" (sections {', '.join(transport.mids)})" if len(picture.transports) > 1 else ""
        found += [
            Finding(f.code, f"{f.text}{name}", f.level) if name else f for f in _transport(picture, transport)
        ]
    found += _data(picture)
    found += _loop(picture)
    order = list(Level)
    found.sort(key=lambda finding: order.index(finding.level))
    return [_headline(picture), *found]


def _headline(picture: ConnectionSnapshot) -> Finding:
    if picture.state is PeerConnectionState.CONNECTED:
        pairs = [p for t in picture.transports for p in t.ice.pairs if p.id == t.ice.selected_pair_id]
        if pairs:
            names = _names(picture.transports[0].ice) if len(picture.transports) == 1 else {}
            where = f": {_ends(pairs[0], names)}" if names else f" over {len(pairs)} transports"
            rtt = pairs[0].current_round_trip_time
            time = f", round trip {rtt * 1000:.0f} ms" if rtt is not None else ""
            return Finding("connected", f"Connected{where}{time}.")
    ice = ", ".join(sorted({t.ice.state.value for t in picture.transports})) or "not begun"
    dtls = ", ".join(sorted({t.dtls.value for t in picture.transports})) or "not begun"
    return Finding(
        f"state-{picture.state.value}",
        f"The connection is {picture.state.value}: signaling {picture.signaling.value}, ICE {ice}, DTLS {dtls}.",
    )


# --- signaling ------------------------------------------------------------------------------------

_SIGNALING = {
    SignalingState.HAVE_LOCAL_OFFER: (
        "waits-for-answer",
        "Our offer waits for the other side's answer: it has not been given to setRemoteDescription().",
    ),
    SignalingState.HAVE_REMOTE_OFFER: (
        "answer-missing",
        "The other side's offer waits for our answer: call setLocalDescription() and send the result.",
    ),
    SignalingState.HAVE_LOCAL_PRANSWER: (
        "final-answer-missing",
        "We gave a provisional answer; the final one is still to come from us.",
    ),
    SignalingState.HAVE_REMOTE_PRANSWER: (
        "waits-for-final-answer",
        "The other side gave a provisional answer; its final one is awaited.",
    ),
}


def _signaling(picture: ConnectionSnapshot) -> Iterator[Finding]:
    if picture.notices:
        up = picture.state is PeerConnectionState.CONNECTED
        text = printable(picture.notices[:1].upper() + picture.notices[1:].rstrip("."))
        yield Finding("signaling-trouble", f"{text}.", Level.FACT if up else Level.PROBLEM)
    waiting = _SIGNALING.get(picture.signaling)
    if waiting is not None:
        yield Finding(*waiting, Level.WAITING)
    elif not picture.has_local:
        if picture.needs_negotiation:
            yield Finding(
                "offer-missing",
                "There is something to negotiate, but no offer was made: call setLocalDescription() and send "
                "the result, or wait for the other side's offer.",
                Level.WAITING,
            )
        else:
            yield Finding(
                "nothing-to-negotiate",
                "Nothing was negotiated, and there is nothing to: add a track, a transceiver or a data channel, or "
                "wait for the other side's offer.",
                Level.WAITING,
            )
    else:
        if not picture.transports:
            yield Finding(
                "nothing-accepted", "Every section was rejected: there is nothing to connect.", Level.PROBLEM
            )
        if picture.needs_negotiation:
            yield Finding(
                "renegotiation-needed", "Something has changed and needs another offer.", Level.WAITING
            )


# --- one transport --------------------------------------------------------------------------------


def _transport(picture: ConnectionSnapshot, transport: TransportSnapshot) -> Iterator[Finding]:
    yield from _gathering(picture, transport)
    yield from _restart(picture, transport)
    yield from _candidates(picture, transport)
    yield from _path(picture, transport)
    yield from _dtls(transport)
    yield from _pair_table(transport)


def _restart(picture: ConnectionSnapshot, transport: TransportSnapshot) -> Iterator[Finding]:
    if transport.ice.restart_ignored:
        connected = picture.state is PeerConnectionState.CONNECTED
        yield Finding(
            "restart-ignored",
            f"The other side answered our ICE restart with the credentials it had "
            f"(ufrag {printable(transport.ice.remote_ufrag or '')}): it has not restarted (RFC 9429 5.3.1). We check "
            "its candidates anew all the same.",
            Level.FACT if connected else Level.PROBLEM,
        )


def _gathering(picture: ConnectionSnapshot, transport: TransportSnapshot) -> Iterator[Finding]:
    if transport.gathering is IceGatheringState.NEW:
        if not picture.has_local:
            return
        yield Finding("gathering-not-begun", "Gathering has not begun yet.", Level.WAITING)
        return
    running = transport.gathering is IceGatheringState.GATHERING
    if running and transport.gathering_since is not None:
        since = max(0.0, picture.now - transport.gathering_since)
        yield Finding("gathering", f"Candidates are being gathered, since {since:.1f} s.", Level.WAITING)
    given: dict[str, Counter[str]] = {}
    for entry in transport.ice.local_candidates:
        if entry.candidate.url is not None:
            given.setdefault(entry.candidate.url, Counter())[entry.candidate.type.value] += 1
    errors = {error.url: error for error in transport.errors}
    for url in dict.fromkeys((*picture.servers, *errors)):
        yield _server(url, given.get(url), errors.get(url), running=running, relay_only=picture.relay_only)
    yield from _relays(transport)


def _relays(transport: TransportSnapshot) -> Iterator[Finding]:
    """Allocations that were granted, and are gone or not prolonged."""
    ice = transport.ice
    carrying = next((pair.local_candidate_id for pair in ice.pairs if pair.id == ice.selected_pair_id), None)
    works = ice.state in (IceTransportState.CONNECTED, IceTransportState.COMPLETED)
    for entry in ice.local_candidates:
        problem = entry.relay_problem
        if problem is None:
            continue
        level = Level.FACT if works and entry.id != carrying else Level.PROBLEM
        candidate = entry.candidate
        gave = f"{printable(candidate.url or 'The TURN server')} gave us {candidate.address}:{candidate.port}"
        why = server_problem(problem.code, problem.text)
        if not problem.is_gone:
            text = f"{gave}, but does not prolong that: {why}. It will end within minutes."
            yield Finding("relay-ends", text, level)
            continue
        if problem.code == 437:
            why = "it does not know the allocation (437), as after a restart of the server"
        text = f"{gave}, which is gone: {why}. An ICE restart asks for another one."
        yield Finding("relay-lost", text, level)


def _server(
    url: str, given: Counter[str] | None, error: IceCandidateError | None, *, running: bool, relay_only: bool
) -> Finding:
    url = printable(url)
    if given:
        kinds = " and ".join(f"{count} {kind}" for kind, count in given.items())
        later = (
            ""
            if error is None
            else (
                f"; asked again or from another address: {server_problem(error.error_code, error.error_text)}"
            )
        )
        return Finding("server-gave-candidates", f"{url} gave {kinds}{later}.")
    if error is not None:
        return Finding(
            "server-failed",
            f"{url} gave no candidate: {server_problem(error.error_code, error.error_text)}.",
            Level.PROBLEM,
        )
    if url.startswith("stun") and relay_only:
        return Finding("server-not-asked", f'{url} is not asked: the policy "relay" wants relays only.')
    if running:
        return Finding("server-pending", f"{url} has not answered yet.", Level.WAITING)
    return Finding(
        "server-nothing-new",
        f"{url} answered, but gave nothing new: there is no NAT, another server said the same, or "
        "a filter took it.",
    )


def _candidates(picture: ConnectionSnapshot, transport: TransportSnapshot) -> Iterator[Finding]:
    ice = transport.ice
    complete = transport.gathering is IceGatheringState.COMPLETE
    if complete and not ice.local_candidates:
        if not picture.relay_only:
            yield Finding(
                "no-local-candidates",
                "We have no candidates at all: no network interface is usable, or a filter took everything.",
                Level.PROBLEM,
            )
        elif any(url.startswith("turn") for url in picture.servers):
            yield Finding(
                "relay-only-without-relay",
                'The policy is "relay", but no TURN server gave a candidate: nothing can connect.',
                Level.PROBLEM,
            )
        else:
            yield Finding(
                "relay-only-without-turn-server",
                'The policy is "relay", but no TURN server is configured: nothing can connect.',
                Level.PROBLEM,
            )
    if ice.remote_ufrag is None:
        return
    told = [c for c in ice.remote_candidates if c.candidate.type.value != "prflx"]
    if not told and transport.signaled:
        yield Finding(
            "remote-candidates-unusable",
            f"The other side sent {_count(transport.signaled, 'candidate')}, but none can be used: names that do "
            "not resolve (.local), or addresses and transports that we do not have.",
            Level.PROBLEM,
        )
    elif not told and ice.remote_ended:
        yield Finding("remote-has-no-candidates", "The other side says that it has no candidates.", _bad(ice))
    elif not told:
        yield Finding(
            "no-remote-candidates",
            "The other side sent no candidates (yet). Do its candidates, or those in its description, reach "
            "addIceCandidate() here?",
            _bad(ice),
        )
    yield Finding(
        "candidates",
        f"Candidates here: {_kinds(ice.local_candidates)}; there: {_kinds(ice.remote_candidates)}.",
    )


def _bad(ice: AgentStats) -> Level:
    """Without candidates a peer can still be found by its checks."""
    return Level.FACT if _works(ice) else Level.PROBLEM


def _works(ice: AgentStats) -> bool:
    return any(pair.state is PairStatus.SUCCEEDED for pair in ice.pairs)


def _kinds(candidates: Iterable[CandidateStats]) -> str:
    counted = Counter(entry.candidate.type.value for entry in candidates)
    return ", ".join(f"{counted[kind]} {kind}" for kind in counted) or "none"


def _path(picture: ConnectionSnapshot, transport: TransportSnapshot) -> Iterator[Finding]:
    ice = transport.ice
    if ice.state is IceTransportState.FAILED:
        yield Finding(
            "ice-failed",
            "ICE has failed and will not go on by itself: restart it, restartIce() and a new offer and answer.",
            Level.PROBLEM,
        )
    selected = next((p for p in ice.pairs if p.id == ice.selected_pair_id), None)
    if selected is not None:
        yield from _selected(picture, ice, selected)
        return
    if ice.remote_ufrag is None or not ice.local_candidates or not ice.remote_candidates:
        return
    if not ice.pairs:
        yield Finding(
            "no-pairs",
            "No candidate here fits one there: IPv4 against IPv6, or UDP against TCP.",
            Level.PROBLEM,
        )
        return
    sent = sum(pair.requests_sent for pair in ice.pairs)
    answered = sum(pair.responses_received for pair in ice.pairs)
    received = sum(pair.requests_received for pair in ice.pairs)
    settled = all(pair.state is PairStatus.FAILED for pair in ice.pairs)
    if answered and ice.state is IceTransportState.FAILED:
        yield Finding(
            "path-lost", "There was a path, but the other side does not answer any more.", Level.PROBLEM
        )
        return
    if answered or not sent:
        yield Finding("checking", "Checks are under way.", Level.WAITING)
        return
    if not settled and max(pair.requests_sent for pair in ice.pairs) < _PATIENCE:
        yield Finding("checking", "The first checks are out; no answer yet.", Level.WAITING)
        return
    counts = f"{_count(sent, 'check')} on {_count(len(ice.pairs), 'pair')}"
    if received:
        yield Finding(
            "answers-do-not-arrive",
            f"The other side's checks arrive ({received}), but ours ({counts}) are never answered: what we send does "
            "not reach it, or it has other ICE credentials than its description says.",
            Level.PROBLEM,
        )
    else:
        yield Finding(
            "checks-unanswered",
            f"{counts} sent and never answered, and none came in: a firewall drops them, or the addresses "
            "cannot be reached from here.",
            Level.PROBLEM,
        )
    yield from _relay_would_help(picture, transport)


def _relay_would_help(picture: ConnectionSnapshot, transport: TransportSnapshot) -> Iterator[Finding]:
    ice = transport.ice
    if transport.gathering is not IceGatheringState.COMPLETE or any(
        entry.candidate.type.value == "relay" for entry in (*ice.local_candidates, *ice.remote_candidates)
    ):
        return
    if any(url.startswith("turn") for url in picture.servers):
        yield Finding(
            "only-relay-would-work",
            "Direct paths do not work. Only a relay would, but no TURN server gave a candidate.",
            Level.PROBLEM,
        )
    else:
        yield Finding(
            "no-turn-server",
            "Direct paths do not work. Only a relay would, and no TURN server is configured.",
            Level.PROBLEM,
        )


def _selected(picture: ConnectionSnapshot, ice: AgentStats, pair: PairStats) -> Iterator[Finding]:
    silent = None if pair.last_packet_received is None else max(0.0, picture.now - pair.last_packet_received)
    if ice.state is IceTransportState.DISCONNECTED and silent is not None:
        left = max(0.0, picture.silence_allowed - silent)
        yield Finding(
            "silent",
            f"Nothing has arrived for {silent:.1f} s; if that lasts, the state is failed in {left:.0f} s. It may come "
            "back by itself; restartIce() looks for another path.",
            Level.PROBLEM,
        )
    if ice.consented_at is not None:
        age = max(0.0, picture.now - ice.consented_at)
        yield Finding("consent", f"The other side last confirmed the path {age:.1f} s ago (consent).")


def _pair_table(transport: TransportSnapshot) -> Iterator[Finding]:
    names = _names(transport.ice)
    pairs = sorted(
        transport.ice.pairs,
        key=lambda pair: (pair.id != transport.ice.selected_pair_id, -pair.responses_received),
    )
    for pair in pairs[:_PAIRS_SHOWN]:
        chosen = ", selected" if pair.id == transport.ice.selected_pair_id else ""
        yield Finding(
            "pair",
            f"Pair {_ends(pair, names)}: {pair.state.value}{chosen}; checks sent {pair.requests_sent}, answered "
            f"{pair.responses_received}, received {pair.requests_received}.",
        )
    if len(pairs) > _PAIRS_SHOWN:
        yield Finding("more-pairs", f"{_count(len(pairs) - _PAIRS_SHOWN, 'more pair')}.")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _names(ice: AgentStats) -> dict[str, str]:
    return {e.id: _name(e.candidate) for e in (*ice.local_candidates, *ice.remote_candidates)}


def _name(candidate: Candidate) -> str:
    host = f"[{candidate.address}]" if ":" in candidate.address else candidate.address
    via = f" by {candidate.relay_protocol.upper()}" if candidate.relay_protocol else ""
    tcp = " TCP" if candidate.protocol == "tcp" else ""
    return printable(f"{candidate.type.value}{tcp} {host}:{candidate.port}{via}")


def _ends(pair: PairStats, names: dict[str, str]) -> str:
    return f"{names.get(pair.local_candidate_id, '?')} to {names.get(pair.remote_candidate_id, '?')}"


# --- what runs over it ----------------------------------------------------------------------------


def _dtls(transport: TransportSnapshot) -> Iterator[Finding]:
    up = transport.ice.state in (IceTransportState.CONNECTED, IceTransportState.COMPLETED)
    error = transport.dtls_error
    if transport.dtls is DtlsTransportState.FAILED:
        if error is not None and error.errorDetail == "fingerprint-failure":
            yield Finding(
                "fingerprint-mismatch",
                "Fingerprint mismatch: the other side's certificate is not the one that its description names. Was the "
                "description changed on the way, or was it another connection's?",
                Level.PROBLEM,
            )
        elif error is not None and error.receivedAlert is not None:
            yield Finding(
                "dtls-refused",
                f"The other side refused the DTLS handshake (alert {error.receivedAlert}): perhaps the "
                "fingerprint in our description does not reach it as we sent it.",
                Level.PROBLEM,
            )
        else:
            said = f": {printable(str(error))}" if error is not None and str(error) else ""
            yield Finding("dtls-failed", f"The DTLS handshake failed{said}.", Level.PROBLEM)
    elif transport.dtls is DtlsTransportState.CLOSED:
        yield Finding(
            "closed-by-remote", "The other side has closed the connection (DTLS close_notify).", Level.PROBLEM
        )
    elif transport.undecrypted_for:
        yield Finding(
            "media-undecryptable",
            f"Media arrive, but for {transport.undecrypted_for:.0f} s none could be decrypted: the other side went on "
            "counting packets during a long outage (RFC 3711 3.3.1), or has other keys. A new connection heals it.",
            Level.PROBLEM,
        )
    elif up and transport.dtls is DtlsTransportState.CONNECTING:
        yield _handshake(transport.dtls_doubt)
    elif up and transport.dtls is DtlsTransportState.NEW:
        yield Finding(
            "dtls-not-begun", "There is a path; DTLS begins when the answer is applied.", Level.WAITING
        )


def _handshake(doubt: RTCError | None) -> Finding:
    """A handshake that is not over, with a path."""
    if doubt is None:
        return Finding("dtls-handshake", "There is a path; the DTLS handshake is under way.", Level.WAITING)
    if doubt.receivedAlert is None:
        said = printable(str(doubt))
        return Finding(
            "dtls-handshake", f"There is a path; the DTLS handshake does not get on: {said}.", Level.WAITING
        )
    return Finding(
        "dtls-refused",
        f"The other side seems to refuse the DTLS handshake (alert {doubt.receivedAlert}, which nothing has "
        "authenticated): perhaps the fingerprint in our description does not reach it as we sent it.",
        Level.PROBLEM,
    )


def _data(picture: ConnectionSnapshot) -> Iterator[Finding]:
    if picture.sctp is None and picture.channels_waiting and picture.has_remote:
        yield Finding(
            "data-not-negotiated",
            f"{_count(picture.channels_waiting, 'data channel')}: waiting, but no data section was negotiated.",
            Level.WAITING,
        )
    elif (
        picture.sctp is SctpTransportState.CONNECTING
        and picture.transports
        and picture.state is PeerConnectionState.CONNECTED
    ):
        yield Finding(
            "sctp-handshake",
            "Connected, but the data channels' association (SCTP) is not set up yet.",
            Level.WAITING,
        )
    elif picture.sctp is SctpTransportState.CLOSED:
        yield Finding("sctp-closed", "The data channels' association (SCTP) has ended.", Level.PROBLEM)


def _loop(picture: ConnectionSnapshot) -> Iterator[Finding]:
    lagged = [t.ice for t in picture.transports if t.ice.lagged_at is not None]
    if lagged:
        worst = max(lagged, key=lambda ice: ice.worst_lag)
        assert worst.lagged_at is not None
        ago = max(0.0, picture.now - worst.lagged_at)
        yield Finding(
            "loop-lag",
            f"The event loop stood still for {worst.worst_lag:.1f} s, {ago:.0f} s ago: something ran in it that "
            "belongs into a thread. Packets and timers wait meanwhile.",
            Level.PROBLEM,
        )

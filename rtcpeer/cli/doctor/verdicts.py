"""Results of tests of servers, and the sentence that each one means. Pure.

Owns: the records of the doctor, the verdict on a server, the NAT behaviour that mapped addresses show.
Never: I/O, a clock, a credential (no record has a place for one).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from rtcpeer.config.servers import ServerUrl
from rtcpeer.net.network import Address, Family
from rtcpeer.peer.session.diagnosis import printable, server_problem

# words of OpenSSL
_NOT_NOW = ("expired", "not yet valid")
_NO_AUTHORITY = ("self-signed", "self signed", "issuer")
# clocks that differ by less are right enough for certificates and credentials
_SKEW = 120.0

FAMILY_NAMES: dict[Family, str] = {"ipv4": "IPv4", "ipv6": "IPv6"}


@dataclass(slots=True)
class Bounce:
    """Data through a relay, one direction each.

    Attributes:
        peer: "relay" (a second allocation on the server) or "host" (a socket of our own).
        outbound: what we sent through the relay arrived at the peer.
        inbound: what the peer sent to the relay arrived here.
        forbidden: the server refused the permission with this code; 0 when it did not.
    """

    peer: str
    outbound: bool = False
    inbound: bool = False
    forbidden: int = 0

    @property
    def works(self) -> bool:
        """Whether datagrams pass in both directions."""
        return self.outbound and self.inbound


@dataclass(slots=True)
class ServerAttempt:
    """A try of one address of one server.

    Attributes:
        outcome: "works", or what is wrong: see `_failure`.
        rtt: of the quickest answer, in seconds.
        mapped: how the server sees us.
        error_code, error_text: what the server or the system said.
        lifetime: of the allocation.
        challenges: codes of errors on the way that are no failure (401, 438).
        second_refused: the code with which a second allocation was refused; 0 when it was not.
    """

    family: Family
    address: Address
    outcome: str = "silent"
    local: str | None = None
    rtt: float | None = None
    mapped: Address | None = None
    error_code: int = 0
    error_text: str = ""
    lifetime: float | None = None
    software: str = ""
    relayed: tuple[Address, ...] = ()
    bounces: list[Bounce] = field(default_factory=list)
    challenges: list[int] = field(default_factory=list)
    redirected_from: Address | None = None
    second_refused: int = 0

    @property
    def works(self) -> bool:
        """Whether the server does what its URL promises."""
        return self.outcome == "works"

    @property
    def depends_on_clock(self) -> bool:
        """Whether the certificate is refused because of the time of day."""
        return self.outcome == "certificate" and any(word in self.error_text for word in _NOT_NOW)


@dataclass(slots=True)
class ServerReport:
    """The report of one URL of a server.

    Attributes:
        problem: why there are no attempts: "unresolved", "no-address", "unsupported", or empty.
        detail: what the system said to that.
        resolve_time: seconds that the name took; None for address literals.
        skipped: families that the server has and this host has not.
        expired_for: seconds since the user name says that the credential expired; None when it does not.
        now: what this machine's clock says, in seconds since 1970.
        clock_skew: by how many seconds it is ahead of the server's; None when that was not asked or told.
    """

    url: ServerUrl
    attempts: list[ServerAttempt] = field(default_factory=list)
    problem: str = ""
    detail: str = ""
    resolve_time: float | None = None
    skipped: tuple[Family, ...] = ()
    expired_for: float | None = None
    now: float = 0.0
    clock_skew: float | None = None

    @property
    def works(self) -> bool:
        """Over at least one address family."""
        return any(attempt.works for attempt in self.attempts)

    @property
    def transport(self) -> str:
        """UDP, TCP, TLS or DTLS."""
        return transport_name(self.url)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on a server, in words.

    Attributes:
        url: as it was given.
        works: whether it is of use.
        code: machine-readable.
        sentence: for people.
        advice: what to do or to know, further sentences.
    """

    url: str
    works: bool
    code: str
    sentence: str
    advice: tuple[str, ...] = ()


def transport_name(url: ServerUrl) -> str:
    """How the URL's server is reached."""
    if url.is_secure:
        return "TLS" if url.transport == "tcp" else "DTLS"
    return url.transport.upper()


def show(address: Address) -> str:
    """host:port, an IPv6 host in brackets."""
    return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"


# --- one server -----------------------------------------------------------------------------------

_PROBLEMS = {
    "unresolved": "its name cannot be resolved",
    "no-address": "it has no address of a family that this host has",
}


def verdict(report: ServerReport) -> Verdict:
    """The verdict on one URL."""
    url = report.url
    name = f"{show((url.host, url.port))} over {report.transport}{'' if url.is_turn else ' (STUN)'}"
    if not report.attempts:
        said = f" ({printable(report.detail)})" if report.detail else ""
        return Verdict(url.url, False, report.problem, f"{name}: {_PROBLEMS[report.problem]}{said}")
    # what a server said is worth more than its silence
    best = min(report.attempts, key=lambda a: (not a.works, a.outcome == "no-route", a.outcome == "silent"))
    sentence = f"{name}: {_outcome(report, best)}"
    same = [a for a in report.attempts if a is not best and a.works and best.works]
    if same:
        families = " and ".join(FAMILY_NAMES[a.family] for a in report.attempts if a.works)
        sentence += f" (over {families})"
    for other in report.attempts:
        if other is not best and other not in same:
            sentence += f"; over {FAMILY_NAMES[other.family]}: {_outcome(report, other)}"
    return Verdict(url.url, report.works, best.outcome, sentence, tuple(_advice(report, best)))


def _outcome(report: ServerReport, attempt: ServerAttempt) -> str:
    where = f"sends us on to {show(attempt.address)}: " if attempt.redirected_from else ""
    return where + (_success(report, attempt) if attempt.works else _failure(report, attempt))


def _failure(report: ServerReport, attempt: ServerAttempt) -> str:
    said = printable(attempt.error_text)
    after = f", {_ms(attempt.rtt)}" if attempt.rtt is not None else ""
    match attempt.outcome:
        case "silent":
            return "does not answer"
        case "no-route":
            return "there is no route to it from here"
        case "unreachable":
            return f"cannot be reached: {said}" if said else "cannot be reached"
        case "certificate":
            return f"its certificate is not accepted: {said}"
        case "not-stun":
            return "something answers there, but it speaks neither STUN nor TURN"
        case "unverifiable":
            return f"it answers{after}, but its answers are not signed with this credential"
        case "credential":
            if report.expired_for is not None and report.expired_for > 0:
                return f"refuses the credential ({attempt.error_code}), which expired {_ago(report.expired_for)} ago"
            return f"refuses the credential ({attempt.error_code}){after}"
        case "forbidden":
            return f"reachable{after}, but it forbids an allocation (403)"
        case "stale-nonce":
            return f"reachable{after}, but it calls every nonce stale (438)"
        case "redirect":
            return f"sends us on and on, or to nowhere (300){after}"
        case "relays-nothing":
            return f"gives an allocation{after}, but relays nothing"
        case "relays-one-way":
            missing = "to the peer" if any(b.inbound for b in attempt.bounces) else "from the peer"
            return f"gives an allocation{after}, but no data pass {missing}"
        case "peer-forbidden":
            code = next(b.forbidden for b in attempt.bounces if b.forbidden)
            return f"gives an allocation{after}, but forbids every peer that was tried ({code})"
        case _:
            return f"reachable{after}, but {server_problem(attempt.error_code, attempt.error_text)}"


def _success(report: ServerReport, attempt: ServerAttempt) -> str:
    if report.url.is_turn:
        life = f" for {attempt.lifetime:.0f} s" if attempt.lifetime else ""
        return f"relays, {_ms(attempt.rtt)}; credential accepted{life}"
    seen = f"; sees this host as {show(attempt.mapped)}" if attempt.mapped else ""
    return f"answers, {_ms(attempt.rtt)}{seen}"


def _advice(report: ServerReport, attempt: ServerAttempt) -> Iterable[str]:
    outcome = attempt.outcome
    if outcome == "silent" and report.url.transport == "udp":
        dtls = ", does it serve DTLS" if report.transport == "DTLS" else ""
        yield f"Is it running, is the port right{dtls}, does a firewall here or there drop UDP?"
    elif outcome == "silent":
        yield "Is it running, is the port right, does a firewall drop connections to it?"
    elif outcome == "certificate":
        yield from _about_certificate(report, attempt)
    elif outcome == "credential" and report.clock_skew is not None and abs(report.clock_skew) > _SKEW:
        yield f"{_about_clock(report)} Time-limited credentials need clocks that agree."
    elif outcome == "credential" and not report.expired_for:
        yield (
            "Wrong user name or password, a wrong shared secret, another realm, or a clock that differs from "
            "the server's."
        )
    elif outcome in ("relays-nothing", "relays-one-way"):
        yield (
            "Are the relay's own ports (by default 49152 to 65535, UDP) open in the server's firewall, and is its "
            "external address configured?"
        )
    elif outcome == "peer-forbidden":
        yield "The server's list of denied peers covers its own address and this host's."
    if attempt.second_refused:
        yield (
            f"A second allocation of the same user was refused ({attempt.second_refused}): two relay-only peers with "
            "this credential cannot call each other."
        )
    elif attempt.works and any(not b.works for b in attempt.bounces if b.peer == "relay"):
        yield "Data to another relay on the same server do not pass: two relay-only peers cannot call each other."
    if 438 in attempt.challenges and attempt.works:
        yield "It changed the nonce meanwhile (438), which is allowed."
    for family in report.skipped:
        yield f"It has an {FAMILY_NAMES[family]} address too, but this host has no {FAMILY_NAMES[family]}."


def _about_certificate(report: ServerReport, attempt: ServerAttempt) -> Iterable[str]:
    if attempt.depends_on_clock:
        wrong = report.clock_skew is None or abs(report.clock_skew) > _SKEW
        yield _about_clock(report) + ("" if wrong else " The certificate has to be renewed.")
    elif any(word in attempt.error_text for word in _NO_AUTHORITY):
        yield (
            "If an authority of your own has signed it, test with --cafile FILE (its certificate, PEM), and have "
            "programs trust it too; else it needs a certificate of a public authority, with all intermediate ones."
        )
    elif "match" in attempt.error_text or "mismatch" in attempt.error_text:
        yield "Use the name that is in the certificate, or have one made for this name."


def _about_clock(report: ServerReport) -> str:
    """A sentence about this machine's clock."""
    shown = datetime.fromtimestamp(report.now, UTC).strftime("%Y-%m-%d %H:%M UTC")
    skew = report.clock_skew
    if skew is None:
        return f"Is this machine's clock right? It says {shown}."
    if abs(skew) <= _SKEW:
        return f"This machine's clock is right: it says {shown}, as the server's does."
    direction = "ahead of" if skew > 0 else "behind"
    return f"This machine's clock is {_ago(abs(skew))} {direction} the server's: it says {shown}. Set it."


def _ms(seconds: float | None) -> str:
    if seconds is None:
        return "round trip unknown"
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.001 else "under 1 ms"


def _ago(seconds: float) -> str:
    for size, name in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} s"


# --- all servers ----------------------------------------------------------------------------------


def udp_is_blocked(reports: Sequence[ServerReport]) -> bool:
    """Every server was silent over UDP, and one answered over something else."""
    udp = [a for r in reports if r.transport == "UDP" for a in r.attempts]
    other = [a for r in reports if r.transport != "UDP" for a in r.attempts]
    return bool(udp) and all(a.outcome == "silent" for a in udp) and any(a.rtt is not None for a in other)


@dataclass(frozen=True, slots=True)
class MappingObservation:
    """An answer to a binding request: from this local socket, this server address saw us as `mapped`."""

    local: Address
    server: Address
    mapped: Address


@dataclass(frozen=True, slots=True)
class NatFinding:
    """The kind of NAT that the answers to one local socket show.

    Attributes:
        code: "none", "endpoint-independent", "symmetric", "unknown".
        public: the addresses that were seen.
    """

    family: Family
    code: str
    sentence: str
    public: tuple[Address, ...] = ()


def nat_behaviour(observations: Sequence[MappingObservation]) -> NatFinding:
    """How the NAT in front of one local socket maps it (RFC 4787 section 4.1), as far as the answers show.

    Args:
        observations: of one local socket, at least one.
    """
    local = observations[0].local
    family: Family = "ipv6" if ":" in local[0] else "ipv4"
    name = FAMILY_NAMES[family]
    public = tuple(dict.fromkeys(seen.mapped for seen in observations))
    if public == (local,):
        return NatFinding(
            family, "none", f"{name}: no NAT, this host is {local[0]} for the servers too.", public
        )
    hosts = {seen.server[0] for seen in observations}
    servers = {seen.server for seen in observations}
    if len(public) > 1:
        by_host: dict[str, set[Address]] = {}
        for seen in observations:
            by_host.setdefault(seen.server[0], set()).add(seen.mapped)
        by_port = any(len(mapped) > 1 for mapped in by_host.values())
        kind = "each port of a server" if by_port else "each server"
        addresses = "" if len({m[0] for m in public}) == 1 else ", even another public address"
        return NatFinding(
            family,
            "symmetric",
            f"{name}: symmetric NAT, {kind} sees another port{addresses}; direct connections to peers behind a "
            "strict NAT fail, so a TURN server is needed.",
            public,
        )
    seen_as = show(public[0])
    if len(hosts) > 1:
        return NatFinding(
            family,
            "endpoint-independent",
            f"{name}: NAT with endpoint-independent mapping, {len(hosts)} servers see {seen_as}; direct connections "
            "are likely.",
            public,
        )
    if len(servers) > 1:
        return NatFinding(
            family,
            "endpoint-independent",
            f"{name}: NAT, all ports of one server see {seen_as}; a second server would show whether the mapping "
            "depends on its address.",
            public,
        )
    return NatFinding(
        family,
        "unknown",
        f"{name}: NAT, seen as {seen_as}; one answer does not show its kind, name a second STUN server.",
        public,
    )

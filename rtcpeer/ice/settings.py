"""IceSettings: every number and choice of an ICE agent, in one frozen record.

Owns: the defaults and what they mean.  Never: state, I/O.  Times are seconds.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Literal

from rtcpeer.errors import RTCRangeError
from rtcpeer.records import record
from rtcpeer.values import Candidate, CandidateType, IceTransportPolicy

if TYPE_CHECKING:
    from rtcpeer.config.servers import IceServerEntry
    from rtcpeer.net.network import Interface


@record(frozen=True, slots=True)
class IceSettings:
    """Settings of an ICE agent: what it gathers, which time limits it keeps.

    Attributes:
        servers: STUN and TURN servers, one entry per URL; all are used in parallel.
        policy: "relay" produces and accepts nothing but relay candidates and hides related addresses.

        wake_after: silence after which whatever arrives tells that the path is back, and those above repeat at once
            what waits for a timer of theirs.  Where something was sent meanwhile, the path is asked from then on.
        disconnected_after: silence (nothing authenticated arrives) until ``disconnected``.
        failed_after: further silence until ``failed``.
        probe_after: silence until extra checks are sent, so that an idle path is never called silent.  The
            controlled side waits one `probe_interval` more: usually the other's request spares it its own.
        probe_interval: distance of those checks.
        failover_after: silence of the selected pair, in spite of the probes, after which a pair that does
            answer takes its place.  Two probe intervals before it, other pairs are asked.
        consent_interval: the bounds between which RFC 7675 requests are spread.
        consent_grid: on idle paths these leave at multiples of this on the loop's clock, so that those of many
            connections leave together. 0, and more than a quarter of the width of the interval: at any time.
        consent_retry: distance of the requests that follow one without a response.
        consent_expiry: time since the last valid response after which no data is sent any more.
        revive_for: how long after ``failed`` a pair that once worked is still asked, so that the call comes
            back with the network; after it only the other side's requests, or a restart, can revive it.
        connect_timeout: from the remote parameters to ``failed`` when no pair works.
        no_pair_timeout: the same from the moment both sides have said end-of-candidates.
        acceptance: how long after the first pair a pair of that type must wait for a better one before it
            is nominated (data flows on it meanwhile).
        retry_interval: first pause before pairs that failed, but would be better than the selected one,
            are tried again; it doubles up to `retry_limit`.
        linger: how long a generation that was replaced still receives and answers.

        pacing: Ta of RFC 8445 14.2, between checks that wait in the queue.
        check_rto: first retransmission of a check; it doubles up to `check_rto_limit`.
        check_tries: transmissions of one check.
        keepalive: silence toward a STUN or TURN server after which it gets a binding indication (RFC 8445 5.1.1.4),
            so that the NATs on the way keep an allocation that is not in use, and the mappings of reflexive
            candidates until a pair is chosen.
        server_rto: first retransmission toward a STUN or TURN server (RFC 8489 6.2.1); doubles.
        server_timeout: a server that has not answered by then is reported with code 701.
        release_timeout: how long ``close()`` waits for TURN servers to confirm the release. It is best effort: a server
            that does not hear it lets the allocation expire.
        lag_tolerance: a timer later than this was late because of the event loop, not the network.

        max_pairs, max_remote_candidates, max_early_checks, max_early_checks_per_source,
        max_peer_reflexive: bounds on what the remote side can make us keep, per generation.

        interface_filter: which interfaces to use; None means all.
        bind_addresses: only these local addresses; empty means all.
        include_loopback: "auto" uses loopback addresses only where there are no others.
        ipv4, ipv6: address families to use.
        port_range: (first, last) local UDP and TCP ports, or None.
        nat_1to1: local address -> public address of a static NAT in front of this host.
        nat_1to1_type: "host" replaces the address of host candidates, "srflx" adds candidates.
        candidate_filter: local candidates for which it returns False are neither told nor used; a filter
            also sees what the address policy has left.
        remote_candidate_filter: called with each remote candidate (its address resolved, peer-reflexive ones too);
            nothing is sent to one for which it returns False. Loopback and link-local addresses are refused without
            it, unless we offer such ourselves.
        mdns: publish ``.local`` names instead of host addresses.
        resolve_mdns: look up ``.local`` names of the remote side.
        relay_ipv6: ask TURN servers for an IPv6 address beside the IPv4 one.
        tcp: ICE-TCP (RFC 6544).  "active", "passive" and "both" offer such candidates.  "auto" offers none, and
            connects when the remote side offers passive ones, as browsers do: it costs nothing where there
            are none.  None ignores TCP altogether.  No setting connects to a port that Fetch blocks.
        ssl_context: for ``turns:`` and ``stuns:``; None verifies against the system's authorities. DTLS takes over
            the authorities that are loaded, the flags, `verify_mode` and `check_hostname`.
        watch_interfaces: tell `on_network_change`.
    """

    servers: tuple[IceServerEntry, ...] = ()
    policy: IceTransportPolicy = IceTransportPolicy.ALL

    wake_after: float = 1.5
    disconnected_after: float = 5.0
    failed_after: float = 25.0
    probe_after: float = 3.4
    probe_interval: float = 0.4
    failover_after: float = 4.5
    consent_interval: tuple[float, float] = (4.0, 6.0)
    consent_grid: float = 0.125
    consent_retry: float = 0.5
    consent_expiry: float = 30.0
    revive_for: float = 600.0
    connect_timeout: float = 30.0
    no_pair_timeout: float = 15.0
    acceptance: Mapping[CandidateType, float] = field(
        default_factory=lambda: {
            CandidateType.HOST: 0.0,
            CandidateType.SRFLX: 0.5,
            CandidateType.PRFLX: 1.0,
            CandidateType.RELAY: 2.0,
        }
    )
    retry_interval: float = 4.0
    retry_limit: float = 30.0
    linger: float = 3.0

    pacing: float = 0.005
    check_rto: float = 0.1
    check_rto_limit: float = 1.6
    check_tries: int = 8
    keepalive: float = 25.0
    server_rto: float = 0.25
    server_timeout: float = 8.0
    release_timeout: float = 0.4
    lag_tolerance: float = 0.25

    max_pairs: int = 100
    max_remote_candidates: int = 100
    max_early_checks: int = 64
    max_early_checks_per_source: int = 8
    max_peer_reflexive: int = 32

    interface_filter: Callable[[Interface], bool] | None = None
    bind_addresses: tuple[str, ...] = ()
    include_loopback: Literal["auto"] | bool = "auto"
    ipv4: bool = True
    ipv6: bool = True
    port_range: tuple[int, int] | None = None
    nat_1to1: Mapping[str, str] = field(default_factory=dict)
    nat_1to1_type: Literal["host", "srflx"] = "host"
    candidate_filter: Callable[[Candidate], bool] | None = None
    remote_candidate_filter: Callable[[Candidate], bool] | None = None
    mdns: bool = False
    resolve_mdns: bool = True
    relay_ipv6: bool = True
    tcp: Literal["auto", "active", "passive", "both"] | None = "auto"
    ssl_context: ssl.SSLContext | None = None
    watch_interfaces: bool = True

    def __post_init__(self) -> None:
        for name, allowed in _WORDS.items():
            value = getattr(self, name)
            if not any(value is word or (isinstance(value, str) and value == word) for word in allowed):
                raise TypeError(f"IceSettings: {name} is one of {allowed}, not {value!r}")
        for name in _NUMBERS:
            check_setting(f"IceSettings: {name}", getattr(self, name))
        if isinstance(self.bind_addresses, str):
            raise TypeError(
                f"IceSettings: bind_addresses is a tuple of addresses, not {self.bind_addresses!r}"
            )
        if self.port_range is not None:
            first, last = self.port_range
            if not 0 < first <= last <= 65535:
                raise RTCRangeError(
                    f"IceSettings: port_range is (first, last) within 1 to 65535, not {self.port_range!r}"
                )


def check_setting(name: str, value: object) -> None:
    """Refuse what is no number of zero or more: for settings that are times or bounds.

    Raises:
        TypeError: it is no number.
        RTCRangeError: it is negative, or NaN.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} is a number, not {value!r}")
    if not value >= 0:
        raise RTCRangeError(f"{name} is not negative, as {value!r} is")


# The words that a setting may be.
_WORDS: dict[str, tuple[str | bool | None, ...]] = {
    "tcp": ("auto", "active", "passive", "both", None),
    "nat_1to1_type": ("host", "srflx"),
    "include_loopback": ("auto", True, False),
}

# Times and bounds.
_NUMBERS = tuple(name for name, kind in IceSettings.__annotations__.items() if kind in ("float", "int"))

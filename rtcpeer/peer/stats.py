"""RTCStatsReport (webrtc-pc 8) and how one is put together from what the transports count.

Owns: W3C names and ids, the references between stats objects, the selection of a part. Never: a counter, a
clock, or an object of a connection (it is given plain records and numbers).

Cheap on purpose: each stats object is one small dict, made once per report; certificates, whose hash and
base64 cost more, are remembered.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any

from rtcpeer.ice.agent.stats import AgentStats, CandidateStats, PairStats
from rtcpeer.peer.errors import InvalidAccessError
from rtcpeer.records import record
from rtcpeer.values import Codec

__all__ = [
    "MediaRecord",
    "RTCStats",
    "RTCStatsReport",
    "ReportBuilder",
    "TransportRecord",
    "find_selector",
    "follow",
]


class RTCStats(dict[str, Any]):
    """One stats object: W3C member names as keys and, for reading, as attributes; those without a value are absent."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"{self.get('type', 'stats')} has no member {name!r}") from None


class RTCStatsReport(Mapping[str, RTCStats]):
    """A read-only map from id to stats object (webrtc-pc 8.3); `values()` gives the objects."""

    __slots__ = ("_stats",)

    def __init__(self, stats: Iterable[RTCStats] = ()) -> None:
        self._stats = {entry["id"]: entry for entry in stats}

    def __getitem__(self, id: str) -> RTCStats:
        return self._stats[id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._stats)

    def __len__(self) -> int:
        return len(self._stats)

    @property
    def size(self) -> int:
        """The number of stats objects."""
        return len(self._stats)

    def has(self, id: str) -> bool:
        """Whether there is a stats object with this id."""
        return id in self._stats

    def forEach(self, callback: Callable[[RTCStats, str, RTCStatsReport], Any]) -> None:
        """Call ``callback(stats, id, report)`` for each."""
        for id, entry in self._stats.items():
            callback(entry, id, self)

    def of_type(self, type: str) -> list[RTCStats]:
        """All objects of one RTCStatsType, such as "candidate-pair" (ours, not W3C's)."""
        return [entry for entry in self._stats.values() if entry["type"] == type]

    def __repr__(self) -> str:
        return f"<RTCStatsReport of {len(self._stats)}>"


@record(slots=True)
class TransportRecord:
    """The counters of one transport.

    Attributes:
        key: names it within its connection; never used again for another.
        ice: `IceAgent.stats()`.
        dtls: `DtlsTransport.stats()`: members by W3C name.
        local_certificate: in DER.
        remote_certificates: in DER, the leaf first.
        estimate: what the path bears for media, in bit/s; None while unknown.
    """

    key: str
    ice: AgentStats
    dtls: Mapping[str, Any] = field(default_factory=dict)
    local_certificate: bytes | None = None
    remote_certificates: Sequence[bytes] = ()
    estimate: int | None = None


@record(slots=True)
class MediaRecord:
    """The counters of one sender or receiver.

    Attributes:
        selector: the RTCRtpSender or RTCRtpReceiver: who asks for a part of the report asks with it.
        key: names it within its connection.
        transport: key of its transport.
        streams: `MediaSender.stats()` or `MediaReceiver.stats()`: members by W3C name with ``type`` and
            ``payloadType``, without ids.
        codecs: of its section, with payload types.
        track_id: of a receiver's track.
        source: `MediaSender.source_stats()`; None for receivers.
    """

    selector: Hashable
    key: str
    transport: str | None
    streams: Iterable[Mapping[str, Any]] = ()
    codecs: Sequence[Codec] = ()
    track_id: str | None = None
    source: Mapping[str, Any] | None = None


class ReportBuilder:
    """Puts one report together.

    Args:
        salt: random, and the same for all reports of one connection: ids are stable and cannot be guessed.
        now_ms: the time of the report, in ms since 1970.
        monotonic_offset_ms: what to add to ms of the agent's clock for ms since 1970.
    """

    def __init__(self, salt: str, now_ms: float, monotonic_offset_ms: float = 0.0) -> None:
        self._salt = salt
        self._now_ms = now_ms
        self._offset_ms = monotonic_offset_ms
        self._stats: dict[str, RTCStats] = {}
        # ids of the RTP streams of each sender or receiver
        self._roots: dict[Hashable, list[str]] = {}

    def report(self) -> RTCStatsReport:
        """The whole report."""
        return RTCStatsReport(self._stats.values())

    def report_for(self, selector: Hashable) -> RTCStatsReport:
        """The part of one sender or receiver (webrtc-pc 8.5 "stats selection algorithm")."""
        return RTCStatsReport(follow(self._stats, self._roots.get(selector, ())))

    # -- what is added -----------------------------------------------------------------------------

    def add_connection(self, *, channels_opened: int, channels_closed: int) -> None:
        """RTCPeerConnectionStats."""
        entry = self._entry("P", "peer-connection")
        entry["dataChannelsOpened"] = channels_opened
        entry["dataChannelsClosed"] = channels_closed

    def add_channel(self, key: str, members: Mapping[str, Any]) -> None:
        """RTCDataChannelStats; `members` are `DataChannel.stats()`."""
        _put(self._entry(f"D{key}", "data-channel"), members)

    def add_transport(self, record: TransportRecord) -> None:
        """RTCTransportStats with its candidates, pairs and certificates."""
        ice, key = record.ice, record.key
        entry = self._entry(f"T{key}", "transport")
        _put(entry, record.dtls)
        entry["packetsSent"] = ice.packets_sent
        entry["packetsReceived"] = ice.packets_received
        entry["bytesSent"] = ice.bytes_sent
        entry["bytesReceived"] = ice.bytes_received
        entry["iceRole"] = ice.role.value
        entry["iceState"] = ice.state.value
        entry["selectedCandidatePairChanges"] = ice.selected_pair_changes
        if ice.local_ufrag is not None:
            entry["iceLocalUsernameFragment"] = ice.local_ufrag
        if ice.selected_pair_id is not None:
            entry["selectedCandidatePairId"] = self._id(f"CP{key}_{ice.selected_pair_id}")
        if record.local_certificate is not None:
            entry["localCertificateId"] = self._add_certificates([record.local_certificate])
        if record.remote_certificates:
            entry["remoteCertificateId"] = self._add_certificates(record.remote_certificates)
        transport_id = entry["id"]
        for candidate in ice.local_candidates:
            self._add_candidate(key, transport_id, candidate)
        for candidate in ice.remote_candidates:
            self._add_candidate(key, transport_id, candidate)
        for pair in ice.pairs:
            is_selected = pair.id == ice.selected_pair_id
            self._add_pair(key, transport_id, pair, record.estimate if is_selected else None)

    def add_media(self, record: MediaRecord) -> None:
        """The RTP streams of a sender or receiver, with their codecs and the media source."""
        transport_id = None if record.transport is None else self._id(f"T{record.transport}")
        source_id = self._add_source(record)
        roots = self._roots.setdefault(record.selector, [])
        codecs = {codec.payload_type: codec for codec in record.codecs}
        codec_ids: dict[Any, str] = {}
        for stream in record.streams:
            type, ssrc = stream["type"], stream["ssrc"]
            prefix, peer = _RTP_PREFIXES[type]
            place = f"{record.transport or record.key}_{ssrc}"
            entry = self._entry(prefix + place, type)
            _put(entry, stream)
            payload_type = entry.pop("payloadType", None)
            if transport_id is not None:
                entry["transportId"] = transport_id
            codec = codecs.get(payload_type)
            if codec is not None:
                codec_ids[ssrc] = self._add_codec(record, transport_id, prefix, codec)
            if ssrc in codec_ids:
                entry["codecId"] = codec_ids[ssrc]
            peer_id = self._id(peer + place)
            if type in ("outbound-rtp", "inbound-rtp"):
                roots.append(entry["id"])
                if type == "inbound-rtp":
                    if record.track_id is not None:
                        entry["trackIdentifier"] = record.track_id
                    if entry.get("kind") == "audio":
                        entry["playoutId"] = self._add_playout(record.key, entry)
                elif source_id is not None:
                    entry["mediaSourceId"] = source_id
            elif peer_id in self._stats:
                # the remote side's view follows the stream it is about
                entry["localId"] = peer_id
                self._stats[peer_id]["remoteId"] = entry["id"]

    # -- inside ------------------------------------------------------------------------------------

    def _id(self, local: str) -> str:
        return self._salt + local

    def _entry(self, local_id: str, type: str) -> RTCStats:
        id = self._salt + local_id
        entry = RTCStats(id=id, timestamp=self._now_ms, type=type)
        self._stats[id] = entry
        return entry

    def _add_source(self, record: MediaRecord) -> str | None:
        source = record.source
        if source is None or source.get("trackIdentifier") is None:
            return None
        entry = self._entry(f"S{record.key}", "media-source")
        _put(entry, source)
        return str(entry["id"])

    def _add_playout(self, key: str, inbound: RTCStats) -> str:
        """RTCAudioPlayoutStats: the program is the device. It gets what was decoded, at once and never invented."""
        entry = self._entry(f"AP{key}", "media-playout")
        entry["kind"] = "audio"
        entry["synthesizedSamplesDuration"] = 0.0
        entry["synthesizedSamplesEvents"] = 0
        entry["totalSamplesDuration"] = inbound.get("totalSamplesDuration", 0.0)
        entry["totalPlayoutDelay"] = 0.0
        entry["totalSamplesCount"] = inbound.get("totalSamplesReceived", 0)
        return str(entry["id"])

    def _add_codec(self, record: MediaRecord, transport_id: str | None, prefix: str, codec: Codec) -> str:
        # sections of one transport may mean different codecs, or parameters, by one payload type
        parameters = ";".join(n if v is None else f"{n}={v}" for n, v in codec.fmtp)
        place = f"C{prefix[-1]}{record.transport or record.key}_{codec.payload_type}_{codec.mime_type}_{parameters}"
        id = self._id(place)
        if id not in self._stats:
            entry = self._entry(place, "codec")
            entry["payloadType"] = codec.payload_type
            entry["mimeType"] = codec.mime_type
            entry["clockRate"] = codec.clock_rate
            if codec.channels is not None:
                entry["channels"] = codec.channels
            if codec.fmtp:
                entry["sdpFmtpLine"] = parameters
            if transport_id is not None:
                entry["transportId"] = transport_id
        return id

    def _add_certificates(self, chain: Sequence[bytes]) -> str:
        """RTCCertificateStats of a chain; the id of its leaf."""
        issuer: str | None = None
        for der in reversed(chain):
            fingerprint, encoded = _certificate(der)
            entry = self._entry(f"CF{fingerprint[:23]}", "certificate")
            entry["fingerprint"] = fingerprint
            entry["fingerprintAlgorithm"] = "sha-256"
            entry["base64Certificate"] = encoded
            if issuer is not None:
                entry["issuerCertificateId"] = issuer
            issuer = entry["id"]
        assert issuer is not None
        return issuer

    def _add_candidate(self, key: str, transport_id: str, stats: CandidateStats) -> None:
        candidate = stats.candidate
        type = "remote-candidate" if stats.is_remote else "local-candidate"
        entry = self._entry(f"IC{key}_{stats.id}", type)
        entry["transportId"] = transport_id
        entry["address"] = candidate.address
        entry["port"] = candidate.port
        entry["protocol"] = candidate.protocol
        entry["candidateType"] = candidate.type.value
        entry["priority"] = candidate.priority
        entry["foundation"] = candidate.foundation
        _put_optional(
            entry,
            ("usernameFragment", candidate.ufrag),
            ("relatedAddress", candidate.related_address),
            ("relatedPort", candidate.related_port),
            ("tcpType", candidate.tcp_type),
        )
        if not stats.is_remote:
            _put_optional(entry, ("url", candidate.url), ("relayProtocol", candidate.relay_protocol))

    def _add_pair(self, key: str, transport_id: str, pair: PairStats, estimate: int | None) -> None:
        entry = self._entry(f"CP{key}_{pair.id}", "candidate-pair")
        entry["transportId"] = transport_id
        entry["localCandidateId"] = self._id(f"IC{key}_{pair.local_candidate_id}")
        entry["remoteCandidateId"] = self._id(f"IC{key}_{pair.remote_candidate_id}")
        entry["state"] = pair.state.value
        entry["nominated"] = pair.nominated
        entry["packetsSent"] = pair.packets_sent
        entry["packetsReceived"] = pair.packets_received
        entry["bytesSent"] = pair.bytes_sent
        entry["bytesReceived"] = pair.bytes_received
        entry["totalRoundTripTime"] = pair.total_round_trip_time
        entry["requestsReceived"] = pair.requests_received
        entry["requestsSent"] = pair.requests_sent
        entry["responsesReceived"] = pair.responses_received
        entry["responsesSent"] = pair.responses_sent
        entry["consentRequestsSent"] = pair.consent_requests_sent
        entry["packetsDiscardedOnSend"] = pair.packets_discarded_on_send
        entry["bytesDiscardedOnSend"] = pair.bytes_discarded_on_send
        _put_optional(
            entry,
            ("currentRoundTripTime", pair.current_round_trip_time),
            ("availableOutgoingBitrate", None if estimate is None else float(estimate)),
            ("lastPacketSentTimestamp", self._wall_clock(pair.last_packet_sent)),
            ("lastPacketReceivedTimestamp", self._wall_clock(pair.last_packet_received)),
        )

    def _wall_clock(self, seconds: float | None) -> float | None:
        return None if seconds is None else seconds * 1000 + self._offset_ms


# the prefix of the id of each type of RTP stats, and that of the stats of the other end's view
_RTP_PREFIXES = {
    "outbound-rtp": ("O", "RI"),
    "inbound-rtp": ("I", "RO"),
    "remote-inbound-rtp": ("RI", "O"),
    "remote-outbound-rtp": ("RO", "I"),
}


def _put(entry: RTCStats, members: Mapping[str, Any]) -> None:
    for name, value in members.items():
        if value is not None:
            entry[name] = value


def _put_optional(entry: RTCStats, *members: tuple[str, Any]) -> None:
    for name, value in members:
        if value is not None:
            entry[name] = value


@functools.lru_cache(maxsize=1024)
def _certificate(der: bytes) -> tuple[str, str]:
    """Fingerprint (as in SDP) and base64 of a certificate."""
    digest = hashlib.sha256(der).digest()
    return digest.hex(":").upper(), base64.b64encode(der).decode()


# --- selection ------------------------------------------------------------------------------------


def find_selector(track: Any, senders: Iterable[Any], receivers: Iterable[Any]) -> Any:
    """The only sender or receiver of a track (webrtc-pc 8.2 "getStats", step 4).

    Args:
        track: what `getStats` was given.
        senders: objects with a ``track``.
        receivers: likewise.

    Raises:
        InvalidAccessError: none has this track, or more than one.
    """
    found = [user for users in (senders, receivers) for user in users if user.track is track]
    if len(found) != 1:
        many = "no sender or receiver" if not found else "more than one sender or receiver"
        raise InvalidAccessError(
            f"{many} of this connection has the track; ask the sender or receiver itself"
        )
    return found[0]


def follow(stats: Mapping[str, RTCStats], roots: Iterable[str]) -> list[RTCStats]:
    """The stats objects with these ids and all that they refer to, directly or not."""
    found: dict[str, RTCStats] = {}
    waiting = [id for id in roots if id in stats]
    while waiting:
        id = waiting.pop()
        if id in found:
            continue
        entry = found[id] = stats[id]
        for name, value in entry.items():
            if name.endswith("Id") and value in stats and value not in found:
                waiting.append(value)
    return list(found.values())

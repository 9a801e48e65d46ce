"""The metrics by name, and which member of the statistics each one sums.

Owns: names, meaning and labels. Every label but `group` has a small fixed set of values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from rtcpeer.records import record


@record(frozen=True, slots=True)
class Metric:
    """A metric: its name, kind, help and labels.

    Attributes:
        name: with its unit, as Prometheus names metrics; a counter's ends in "_total".
        kind: "counter" never falls; "gauge" is of the connections that are open now.
        help: one sentence.
        labels: names of the labels, `group` first.
    """

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    labels: tuple[str, ...]


def _counter(name: str, help: str, *labels: str) -> Metric:
    return Metric(f"rtcpeer_{name}_total", "counter", help, ("group", *labels))


def _gauge(name: str, help: str, *labels: str) -> Metric:
    return Metric(f"rtcpeer_{name}", "gauge", help, ("group", *labels))


CONNECTIONS = _gauge("connections", "Connections by state.", "state")
PATHS = _gauge("paths", "Selected candidate pairs by the type of the local candidate.", "type")
OPENED = _counter("connections_opened", "Connections that were added.")
FAILED = _counter("connections_failed", "Times that the state of a connection became failed.")
RESTARTS = _counter("ice_restarts", "ICE restarts.")
RECREATIONS = _counter("recreations", "Connections that a supervised peer made in place of another.")
ROUND_TRIP = _gauge("round_trip_seconds", "Round trip of the selected pairs.", "of")
JITTER = _gauge("jitter_seconds", "Worst jitter of received media.", "kind")
TARGET = _gauge("target_bytes_per_second", "Bytes per second that the encoders aim at.", "kind")
CHANNELS = _gauge("data_channels", "Open data channels.")
TRANSPORT_BYTES = _counter("transport_bytes", "Bytes over selected pairs, without STUN.", "direction")
TRANSPORT_PACKETS = _counter("transport_packets", "Packets over selected pairs, without STUN.", "direction")
RTP_BYTES = _counter("rtp_bytes", "Payload of media.", "direction", "kind")
RTP_PACKETS = _counter("rtp_packets", "Packets of media.", "direction", "kind")
LOST = _counter(
    "rtp_packets_lost", "Lost packets: received from, or reported by, the other side.", "direction", "kind"
)
RETRANSMITTED = _counter("rtp_packets_retransmitted", "Packets that were sent again.", "direction", "kind")
NACKS = _counter("rtp_nacks", "Requests to send packets again.", "direction", "kind")
FRAMES = _counter("frames", "Frames that were encoded or decoded.", "direction")
DROPPED = _counter("frames_dropped", "Received frames that were dropped.")
FREEZES = _counter("freezes", "Freezes of received video.")
FROZEN = _counter("freeze_seconds", "Seconds for which received video was frozen.")
CHANNEL_BYTES = _counter("data_channel_bytes", "Bytes of messages.", "direction")
CHANNEL_MESSAGES = _counter("data_channel_messages", "Messages.", "direction")
FORWARDER_OUTPUTS = _gauge("forwarder_outputs", "Senders that are forwarded to, by state.", "state")
FORWARDED_BYTES = _counter("forwarded_bytes", "Payload that forwarders sent.")
FORWARDED_PACKETS = _counter("forwarded_packets", "Packets that forwarders sent.")
FORWARDER_REPEATS = _counter("forwarded_packets_retransmitted", "Packets that forwarders sent again.")
FORWARDER_KEYS = _counter("forwarder_key_frame_requests", "Key frames that subscribers asked forwarders for.")
FORWARDER_MISSING = _counter("forwarder_packets_missing", "Packets that never arrived at a forwarder.")
ROOM_MEMBERS = _gauge("room_members", "Members of rooms whose sockets are at this server.")
ROOM_SOCKETS = _gauge("room_sockets", "Sockets of a room server, those that have not entered among them.")
ROOM_LAG = _gauge(
    "room_lag_seconds", "For how long the oldest frame of a room server has waited for its client."
)
ROOM_FRAMES = _counter("room_frames", "Frames of a room server.", "direction")
ROOM_BYTES = _counter("room_bytes", "Bytes of these frames.", "direction")
ROOM_REFUSALS = _counter(
    "room_refusals", "What a room server has refused, and clients that were too slow.", "reason"
)

METRICS: tuple[Metric, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Metric))

# type of statistics -> (metric, member, labels before `kind`)
COUNTED: Mapping[str, tuple[tuple[Metric, str, tuple[str, ...]], ...]] = {
    "transport": (
        (TRANSPORT_BYTES, "bytesSent", ("sent",)),
        (TRANSPORT_BYTES, "bytesReceived", ("received",)),
        (TRANSPORT_PACKETS, "packetsSent", ("sent",)),
        (TRANSPORT_PACKETS, "packetsReceived", ("received",)),
    ),
    "inbound-rtp": (
        (RTP_BYTES, "bytesReceived", ("received",)),
        (RTP_PACKETS, "packetsReceived", ("received",)),
        (LOST, "packetsLost", ("received",)),
        (RETRANSMITTED, "retransmittedPacketsReceived", ("received",)),
        (NACKS, "nackCount", ("sent",)),
        (FRAMES, "framesDecoded", ("received",)),
        (DROPPED, "framesDropped", ()),
        (FREEZES, "freezeCount", ()),
        (FROZEN, "totalFreezesDuration", ()),
    ),
    "outbound-rtp": (
        (RTP_BYTES, "bytesSent", ("sent",)),
        (RTP_PACKETS, "packetsSent", ("sent",)),
        (RETRANSMITTED, "retransmittedPacketsSent", ("sent",)),
        (NACKS, "nackCount", ("received",)),
        (FRAMES, "framesEncoded", ("sent",)),
    ),
    "remote-inbound-rtp": ((LOST, "packetsLost", ("sent",)),),
    "data-channel": (
        (CHANNEL_BYTES, "bytesSent", ("sent",)),
        (CHANNEL_BYTES, "bytesReceived", ("received",)),
        (CHANNEL_MESSAGES, "messagesSent", ("sent",)),
        (CHANNEL_MESSAGES, "messagesReceived", ("received",)),
    ),
}
# members of `ForwarderOutput.stats()`
FORWARDED: tuple[tuple[Metric, str], ...] = (
    (FORWARDED_BYTES, "bytes"),
    (FORWARDED_PACKETS, "packets"),
    (FORWARDER_REPEATS, "retransmittedPackets"),
    (FORWARDER_KEYS, "keyFrameRequests"),
    (FORWARDER_MISSING, "missing"),
)

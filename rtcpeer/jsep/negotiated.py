"""Negotiated parameters: what two sections agree on, for the sender and the receiver of a transceiver."""

from __future__ import annotations

from rtcpeer.jsep import codecs as codec_rules
from rtcpeer.jsep import extensions as extension_rules
from rtcpeer.jsep.draft import Draft
from rtcpeer.jsep.effects import ConfigureReceiver, ConfigureSender
from rtcpeer.jsep.encodings import as_negotiated, within_codec
from rtcpeer.jsep.inputs import PlanContext
from rtcpeer.jsep.sections import wanted_extensions
from rtcpeer.jsep.state import Transceiver
from rtcpeer.records import replace
from rtcpeer.rtp.parameters import ReceiveParameters, RemoteSource, SendEncoding, SendParameters
from rtcpeer.sdp.model import Media
from rtcpeer.values import Codec, DtlsRole, HeaderExtension


def configure_offered(draft: Draft, record: Transceiver, offered: Media) -> None:
    """Be ready to receive what we just offered, where packets can come before the answer does.

    That is so only where DTLS runs already: a section added to a bundle, or codecs added to a section.
    """
    assert record.transport is not None
    if draft.transports[record.transport].dtls_role is DtlsRole.AUTO or record.stopping:
        return
    if not offered.direction.receives or (
        record.current_direction is not None and not record.current_direction.receives
    ):
        return  # what was agreed before goes on until the answer
    before = record.receive_parameters
    parameters = ReceiveParameters(
        mid=offered.mid or "",
        codecs=offered.codecs,
        sources=before.sources if before is not None else (),
        header_extensions=offered.header_extensions,
        rids=before.rids if before is not None else (),
    )
    if parameters != before:
        draft.start.append(ConfigureReceiver(record.id, parameters))
        draft.put(replace(record, receive_parameters=parameters))


def withdraw_offered(draft: Draft, record: Transceiver, offered: Media) -> Transceiver:
    """Stop what our own offer takes back, whatever becomes of the offer; a rollback gives it back.

    Who has muted himself is not heard until an answer comes, or for ever because it was refused.  webrtc-pc 4.4.1.5
    has [[Receptive]] follow the offer; sending does so in libwebrtc, where both descriptions must permit it.
    """
    sending, receiving = record.send_parameters, record.receive_parameters
    if sending is not None and sending.active and not offered.direction.sends:
        sending = replace(sending, active=False)
        draft.start.append(ConfigureSender(record.id, sending))
    if receiving is not None and receiving.active and not offered.direction.receives:
        receiving = replace(receiving, active=False)
        draft.start.append(ConfigureReceiver(record.id, receiving))
    return draft.put(replace(record, send_parameters=sending, receive_parameters=receiving))


def configure(
    context: PlanContext,
    draft: Draft,
    record: Transceiver,
    ours: Media,
    theirs: Media,
    *,
    answered_by_us: bool,
) -> Transceiver:
    """Set codecs and parameters from the two sections of a completed exchange; tell the media layer what changed."""
    able = context.settings.capabilities(record.kind)
    send_codecs = codec_rules.sendable(theirs.codecs, able.send, ours.codecs if answered_by_us else None)
    direction = record.current_direction
    assert direction is not None
    receivable = ours.codecs if answered_by_us else codec_rules.receivable(ours.codecs, theirs.codecs)
    send_extensions = extension_rules.with_feedback(
        extension_rules.sendable(theirs.header_extensions, ours.header_extensions), send_codecs
    )
    receive_extensions = extension_rules.with_feedback(
        extension_rules.receivable(ours.header_extensions, theirs.header_extensions), receivable
    )
    answer = ours if answered_by_us else theirs
    negotiated_extensions = extension_rules.agreed(
        wanted_extensions(record, context.settings),
        extension_rules.with_feedback(answer.header_extensions, answer.codecs),
        from_remote=not answered_by_us,
    )
    first = next((c for c in send_codecs if not codec_rules.is_auxiliary(c)), None)
    kept = [_without_lost_codec(e, send_codecs) for e in record.encodings]
    encodings = tuple([within_codec(e, e.codec or first) for e in kept])
    sending: SendParameters | None = None
    if not record.stopping and send_codecs and (direction.sends or record.send_parameters is not None):
        sending = _sending(context, record, theirs, send_codecs, encodings, send_extensions)
    receiving: ReceiveParameters | None = None
    if not record.stopping and (direction.receives or record.receive_parameters is not None):
        unasked = () if answered_by_us else codec_rules.wrappers_left_out(ours.codecs, receivable)
        receiving = _receiving(record, ours, theirs, receivable + unasked, receive_extensions)
    if receiving != record.receive_parameters:
        draft.start.append(ConfigureReceiver(record.id, receiving))
    if sending != record.send_parameters:
        draft.start.append(ConfigureSender(record.id, sending))
    return draft.put(
        replace(
            record,
            encodings=encodings if encodings != record.encodings else record.encodings,
            parameters_revision=record.parameters_revision + 1,
            send_codecs=send_codecs,
            # webrtc-pc empties the list while nothing is received; browsers, and the W3C suite, do not
            receive_codecs=receivable,
            send_header_extensions=send_extensions,
            receive_header_extensions=receive_extensions,
            negotiated_extensions=negotiated_extensions,
            reduced_size_rtcp=theirs.rtcp_reduced_size and ours.rtcp_reduced_size,
            send_parameters=sending,
            receive_parameters=receiving,
        )
    )


def _sending(
    context: PlanContext,
    record: Transceiver,
    theirs: Media,
    codecs: tuple[Codec, ...],
    encodings: tuple[SendEncoding, ...],
    extensions: tuple[HeaderExtension, ...],
) -> SendParameters:
    """The sender's parameters: what is sent, and by which bitrate at most."""
    assert record.current_direction is not None
    limit = _max_bitrate(theirs)
    return SendParameters(
        record.mid or "",
        codecs,
        as_negotiated(encodings, codecs, limit),
        extensions,
        context.state.cname,
        record.current_direction.sends,
        limit,
    )


def _receiving(
    record: Transceiver,
    ours: Media,
    theirs: Media,
    codecs: tuple[Codec, ...],
    extensions: tuple[HeaderExtension, ...],
) -> ReceiveParameters:
    """The receiver's parameters: what may come, and how its streams are recognised."""
    assert record.current_direction is not None
    return ReceiveParameters(
        record.mid or "",
        codecs,
        _sources(theirs),
        extensions,
        tuple([s.rid for s in ours.simulcast.recv]) if ours.simulcast is not None else (),
        record.current_direction.receives,
    )


def _without_lost_codec(encoding: SendEncoding, negotiated: tuple[Codec, ...]) -> SendEncoding:
    """An encoding whose codec is no longer negotiated goes back to the default (webrtc-pc 4.4.1.5)."""
    if encoding.codec is None or codec_rules.find(encoding.codec, negotiated) is not None:
        return encoding
    return replace(encoding, codec=None)


def _max_bitrate(section: Media) -> int | None:
    """The limit that a section sets to what is sent to it (RFC 9429 5.10: "b=TIAS", else made from "b=AS")."""
    limits = dict(section.bandwidth)
    if "TIAS" in limits:
        return limits["TIAS"]
    if "AS" in limits:
        # 5 % are for RTCP, and the headers of 50 packets a second do not count
        return max(0, limits["AS"] * 950 - 50 * 40 * 8)
    return None


def _sources(section: Media) -> tuple[RemoteSource, ...]:
    """The announced streams; a retransmission stands with the stream it repairs."""
    repairs: dict[int, int] = {}
    for group in section.ssrc_groups:
        if group.semantics == "FID" and len(group.ssrcs) == 2:
            repairs[group.ssrcs[0]] = group.ssrcs[1]
    secondary = set(repairs.values())
    for group in section.ssrc_groups:
        if group.semantics.startswith("FEC"):
            secondary.update(group.ssrcs[1:])
    return tuple(
        [
            RemoteSource(s.ssrc, repairs.get(s.ssrc), s.get("cname"))
            for s in section.ssrcs
            if s.ssrc not in secondary
        ]
    )

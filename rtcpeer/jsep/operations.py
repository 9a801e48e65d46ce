"""Plans for changes that involve no description: transceivers, tracks, preferences, data, restarts.

Descriptions and candidates are planned by `rtcpeer.jsep.engine`.
"""

from __future__ import annotations

from collections.abc import Sequence

from rtcpeer.errors import InvalidModificationError, InvalidStateError
from rtcpeer.jsep import codecs, transceivers
from rtcpeer.jsep.draft import Draft
from rtcpeer.jsep.effects import ConfigureSender, Plan, StateHolder, UpdateNegotiationNeeded
from rtcpeer.jsep.encodings import as_negotiated
from rtcpeer.jsep.extensions import check_wanted
from rtcpeer.jsep.inputs import EngineSettings, Entropy, TransceiverInit
from rtcpeer.jsep.sections import wanted_extensions
from rtcpeer.jsep.state import Transceiver
from rtcpeer.records import replace
from rtcpeer.rtp.parameters import SendEncoding
from rtcpeer.values import Codec, Direction, HeaderExtension, SignalingState

_NEEDED = (UpdateNegotiationNeeded(),)


class Operations:
    """Plans of everything but descriptions and candidates, each a pure function of the state in force.

    Args:
        holder: has the state in force.
        settings: capabilities and policies, fixed for life.
        entropy: the source of chance.
    """

    def __init__(self, holder: StateHolder, settings: EngineSettings, entropy: Entropy) -> None:
        self._holder = holder
        self._settings = settings
        self._entropy = entropy

    def _check_open(self) -> None:
        if self._holder.state.signaling is SignalingState.CLOSED:
            raise InvalidStateError("the connection is closed")

    # --- transceivers -----------------------------------------------------------------------------

    def plan_add_transceiver(self, init: TransceiverInit) -> Plan:
        """AddTransceiver; ``plan.transceiver`` is the new id, ``prepare`` has its `CreateTransceiver`."""
        self._check_open()
        draft = Draft(self._holder.state)
        # addTransceiver, 9 to 13
        record = transceivers.create(draft, init, self._entropy.identifier, self._entropy.ssrc)
        return replace(draft.finish(_NEEDED), transceiver=record.id)

    def plan_add_track(self, init: TransceiverInit) -> Plan:
        """AddTrack: reuse a transceiver by the rules of webrtc-pc 5.1, else make one.

        ``plan.transceiver`` is its id; ``prepare`` is empty when it was reused.  That no sender has this track already
        is checked by the face, which knows the tracks.
        """
        self._check_open()
        draft = Draft(self._holder.state)
        # 7
        reused = next(
            (t for t in draft.transceivers if transceivers.is_reusable_for_track(t, init.kind)), None
        )
        # 9
        if reused is None:
            record = transceivers.create(
                draft,
                replace(init, direction=Direction.SENDRECV),
                self._entropy.identifier,
                self._entropy.ssrc,
            )
        else:
            # 8
            record = replace(
                reused,
                has_track=True,
                track_id=transceivers.sender_id(draft, init.track_id, self._entropy.identifier),
                stream_ids=tuple(dict.fromkeys(init.stream_ids)),
                direction=Direction.of(sends=True, receives=reused.direction.receives),
            )
        draft.put(
            replace(record, used_add_track=True, made_by_add_track=record.made_by_add_track or reused is None)
        )
        return replace(draft.finish(_NEEDED), transceiver=record.id)

    def plan_remove_track(self, transceiver: int) -> Plan:
        """RemoveTrack, from "If transceiver.[[Stopping]]" on; a plan without effects when there is nothing to do."""
        self._check_open()
        draft = Draft(self._holder.state)
        record = draft.get(transceiver)
        # removeTrack, 6 to 9
        if record is None or record.stopping or not record.has_track:
            return draft.finish()
        # 10 to 13
        direction = Direction.of(sends=False, receives=record.direction.receives)
        draft.put(replace(record, has_track=False, direction=direction))
        return draft.finish(_NEEDED)

    def plan_set_track(self, transceiver: int, track_id: str | None) -> Plan:
        """ReplaceTrack has succeeded (``None``: no track now); no negotiation follows from it."""
        draft = Draft(self._holder.state)
        record = draft.get(transceiver)
        if record is not None:
            # the id in a=msid stays once it has been told (RFC 8829 5.2.2: it identifies the sender for the other side)
            taken = any(t.track_id == track_id for t in draft.transceivers)
            keep = track_id is None or taken or record.mid is not None
            draft.put(
                replace(
                    record, has_track=track_id is not None, track_id=record.track_id if keep else track_id
                )
            )
        return draft.finish()

    def plan_set_direction(self, transceiver: int, direction: Direction) -> Plan:
        """Set the preferred direction.

        Raises:
            InvalidStateError: stopping.
            TypeError: "stopped".
        """
        record = self._record(transceiver)
        draft = Draft(self._holder.state)
        if record is None or record.stopping:
            raise InvalidStateError("the transceiver is stopped")
        if direction is record.direction:
            return draft.finish()
        if direction is Direction.STOPPED:
            raise TypeError('direction cannot be set to "stopped"; call stop()')
        draft.put(replace(record, direction=direction))
        return draft.finish(_NEEDED)

    def plan_stop(self, transceiver: int) -> Plan:
        """``RTCRtpTransceiver.stop()``."""
        self._check_open()
        draft = Draft(self._holder.state)
        record = draft.get(transceiver)
        if record is None or record.stopping:
            return draft.finish()
        # 5 and 6
        transceivers.stop_sending_and_receiving(draft, record)
        return draft.finish(_NEEDED)

    def plan_set_codec_preferences(self, transceiver: int, preferences: Sequence[Codec]) -> Plan:
        """``setCodecPreferences()``; codecs without payload types.

        Raises:
            InvalidModificationError: a codec is in no capability, or only rtx, red, fec or comfort noise are left.
        """
        draft = Draft(self._holder.state)
        record = draft.get(transceiver)
        if record is None:
            return draft.finish()
        able = self._settings.capabilities(record.kind)
        union = (*able.send, *able.receive)
        chosen: list[Codec] = []
        for codec in preferences:
            if not any(codecs.dictionary_match(codec, c) for c in union):
                raise InvalidModificationError(f"{codec.mime_type} with these parameters is in no capability")
            if not any(codecs.dictionary_match(codec, c) for c in chosen):
                chosen.append(replace(codec, payload_type=None))
        if chosen and all(codecs.is_auxiliary(c) for c in chosen):
            raise InvalidModificationError(
                "codec preferences need a codec besides rtx, red, fec and comfort noise"
            )
        draft.put(replace(record, preferred_codecs=tuple(chosen)))
        return draft.finish()

    def plan_set_header_extensions(self, transceiver: int, extensions: Sequence[HeaderExtension]) -> Plan:
        """``setHeaderExtensionsToNegotiate()``; the next offer or answer goes by it.

        Raises:
            InvalidModificationError: as `rtcpeer.jsep.extensions.check_wanted` says.
        """
        draft = Draft(self._holder.state)
        record = draft.get(transceiver)
        if record is None:
            return draft.finish()
        chosen = check_wanted(wanted_extensions(record, self._settings), extensions)
        draft.put(replace(record, extensions_to_negotiate=chosen))
        return draft.finish()

    def plan_set_streams(self, transceiver: int, stream_ids: Sequence[str]) -> Plan:
        """``RTCRtpSender.setStreams()``."""
        self._check_open()
        draft = Draft(self._holder.state)
        record = draft.get(transceiver)
        if record is None:
            return draft.finish()
        draft.put(replace(record, stream_ids=tuple(dict.fromkeys(stream_ids))))
        return draft.finish(_NEEDED)

    def plan_set_encodings(self, transceiver: int, encodings: Sequence[SendEncoding]) -> Plan:
        """``setParameters()`` has been checked (`rtcpeer.jsep.encodings.check_update`): the new [[SendEncodings]].

        SSRCs are kept from the present ones, whatever the argument says.
        """
        draft = Draft(self._holder.state)
        record = draft.get(transceiver)
        if record is None or len(encodings) != len(record.encodings):
            return draft.finish()
        kept = tuple(
            [
                replace(e, ssrc=c.ssrc, rtx_ssrc=c.rtx_ssrc)
                for e, c in zip(encodings, record.encodings, strict=True)
            ]
        )
        parameters = record.send_parameters
        if parameters is not None:
            told = as_negotiated(kept, parameters.codecs, parameters.max_bitrate)
            parameters = replace(parameters, encodings=told)
            draft.start.append(ConfigureSender(record.id, parameters))
        draft.put(replace(record, encodings=kept, send_parameters=parameters))
        return draft.finish()

    # --- the rest ---------------------------------------------------------------------------------

    def plan_want_data(self, *, first: bool = False) -> Plan:
        """The next offer has a data section: the first channel was made, or it is wanted anyway, then before media."""
        self._check_open()
        draft = Draft(self._holder.state)
        if not self._holder.state.data_wanted:
            draft.fields["data_wanted"] = True
            draft.fields["data_first"] = first
        return draft.finish(_NEEDED)

    def plan_restart_ice(self) -> Plan:
        """``restartIce()``: the next offer has new credentials, and one is asked for; nothing when closed."""
        draft = Draft(self._holder.state)
        if self._holder.state.signaling is SignalingState.CLOSED:
            return draft.finish()
        draft.fields["credentials_to_replace"] = self._local_credentials()
        return draft.finish(_NEEDED)

    def plan_servers_changed(self) -> Plan:
        """``setConfiguration()`` changed what gathering would use (RFC 8829 4.1.18).

        The next offer has new credentials wherever gathering has happened; nothing else follows.
        """
        self._check_open()
        draft = Draft(self._holder.state)
        draft.fields["credentials_outdated"] = self._local_credentials()
        return draft.finish()

    def _local_credentials(self) -> frozenset[tuple[str, str]]:
        """All ICE credentials in the local descriptions."""
        return frozenset(
            (m.ice.ufrag, m.ice.pwd)
            for description in (self._holder.state.current_local, self._holder.state.pending_local)
            if description is not None
            for m in description.session.media
            if m.ice is not None
        )

    def plan_close(self) -> Plan:
        """``close()``: state closed, every transceiver stopping and stopped; no announcements, no transport effects."""
        draft = Draft(self._holder.state)
        for record in draft.transceivers:
            if not record.stopped:
                transceivers.stop(draft, record)
        draft.fields["signaling"] = SignalingState.CLOSED
        return draft.finish()

    def _record(self, id: int) -> Transceiver | None:
        return self._holder.state.transceiver(id)

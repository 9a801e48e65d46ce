"""Executor of plans: the only place where the engine's decisions meet ICE, DTLS, media and data.

Owns: the transports, the transceivers' objects, the remote streams and the SCTP transport of one connection,
by the ids that the engine gave. Decides nothing; each effect is one short method.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from weakref import WeakValueDictionary

from rtcpeer.jsep import effects as fx
from rtcpeer.jsep.effects import Plan
from rtcpeer.media.event_target import Event, has_listeners
from rtcpeer.media.stream import MediaStream, MediaStreamEvent, add_track, remove_track
from rtcpeer.peer.core.context import ConnectionContext
from rtcpeer.peer.core.transceiver import TransceiverCore
from rtcpeer.peer.events import RTCTrackEvent
from rtcpeer.peer.rtp import RTCRtpReceiver, RTCRtpTransceiver, ShownTransceiver
from rtcpeer.peer.rtp_sender import RTCRtpSender
from rtcpeer.peer.session.data_channels import DataChannelSet
from rtcpeer.peer.session.transport import PeerTransport
from rtcpeer.values import DtlsTransportState, IceGatheringState, IceTransportState, SignalingState

logger = logging.getLogger("rtcpeer.peer")


def _steps(plan: Plan) -> str:
    """The steps of a plan by name, with how often: no content of a description."""
    counts = Counter(type(effect).__name__ for effect in (*plan.prepare, *plan.start))
    return ", ".join(f"{name} x {count}" if count > 1 else name for name, count in counts.items())


class Executor:
    """The objects of one connection, and how effects change them."""

    def __init__(self, session: ConnectionContext) -> None:
        self._session = session
        session.carry_out = self.carry_out
        self.transports: dict[int, PeerTransport] = {}
        # those that closed on the way; they are awaited at the end
        self._closing: list[Awaitable[Any]] = []
        # whether the plan under way closed transports: the states of the whole are told at its end
        self._transports_gone = False
        # in order of creation, as getTransceivers() shows them
        self.transceivers: dict[int, ShownTransceiver] = {}
        # all that ever were and that somebody still holds, by id
        self._known: WeakValueDictionary[int, ShownTransceiver] = WeakValueDictionary()
        # those that the plan under way removes; its announcements may still concern them
        self._leaving: list[ShownTransceiver] = []
        # remote streams by id; a stream without tracks is kept, as its user may hold it
        self._streams: dict[str, MediaStream] = {}
        # those that got tracks by the plan under way, and had none
        self._new_streams: list[MediaStream] = []
        self.data: DataChannelSet = DataChannelSet(session)

    # --- a plan and its four parts -----------------------------------------------------------------

    def carry_out(self, plan: Plan) -> None:
        """Do what a plan says: make, commit, start, announce. Nothing has happened if it raises."""
        self.prepare(plan)
        try:
            self._session.engine.commit(plan)
        except BaseException:
            self.undo(plan)
            raise
        if plan.base.signaling is not plan.next.signaling:
            logger.info("%s signaling is %s", self._session.name, plan.next.signaling.value)
        if logger.isEnabledFor(logging.DEBUG) and (plan.prepare or plan.start):
            logger.debug("%s does: %s", self._session.name, _steps(plan))
        self.start(plan)
        self.announce(plan)

    def prepare(self, plan: Plan) -> None:
        """Make the objects of a plan; if one cannot be made, none was."""
        made = []
        try:
            for effect in plan.prepare:
                _EFFECTS[type(effect)](self, effect)
                made.append(effect)
        except BaseException:
            self._undo_all(made)
            raise

    def undo(self, plan: Plan) -> None:
        """Let go of what was prepared for a plan that does not come to be."""
        self._undo_all(plan.prepare)

    def _undo_all(self, made: Sequence[fx.Prepare]) -> None:
        for effect in reversed(made):
            self._undo(effect)

    def _undo(self, effect: fx.Prepare) -> None:
        if isinstance(effect, fx.CreateTransport):
            self._close_transport(fx.CloseTransport(effect.transport))
        elif isinstance(effect, fx.CreateTransceiver):
            del self.transceivers[effect.transceiver]
        else:
            self._close_data(fx.CloseData(rolled_back=True))

    def start(self, plan: Plan) -> None:
        """Make the objects do what was decided."""
        for effect in plan.start:
            self._carry_out(effect)

    def _carry_out(self, effect: fx.Start | fx.Announce) -> None:
        """Carry out one effect of a committed description: if it fails, that is reported and the others follow.

        What was decided is in force already; to stop half way would leave media, transports and descriptions at odds.
        A transport that could not do its part has failed, and its states say so.
        """
        try:
            _EFFECTS[type(effect)](self, effect)
        except Exception as error:
            self._session.report_failure(f"could not carry out {type(effect).__name__}", error)
            if isinstance(effect, _VITAL) and (link := self.transports.get(effect.transport)) is not None:
                self._closing.append(link.fail(error))

    def announce(self, plan: Plan) -> None:
        """Tell the listeners; one of them may close the connection, and then no event follows."""
        for effect in plan.announce:
            if self._session.closed:
                break
            self._carry_out(effect)
        self._leaving.clear()
        if self._transports_gone or {plan.base.signaling, plan.next.signaling} & _PROVISIONAL:
            self._transports_gone = False
            self._session.aggregates.announce_all()

    # --- transports -------------------------------------------------------------------------------

    def _used(self) -> list[PeerTransport]:
        """The transports that a description uses, the newest one or the last stable one.

        Under a provisional answer those that it bundles away wait for the final one, which may need them: they do
        nothing, and the states of the connection do not depend on them.
        """
        state = self._session.engine.state
        bindings = state.bindings if state.stable is None else state.bindings + state.stable.bindings
        ids = {transport for _mid, transport in bindings}
        return [link for id, link in self.transports.items() if id in ids]

    def ice_states(self) -> list[IceTransportState]:
        """The states of all ICE transports in use."""
        return [link.ice.state for link in self._used()]

    def gathering_states(self) -> list[IceGatheringState]:
        """How all ICE transports in use gather.

        One whose news are still on their way counts as gathering: the connection's state goes forward only.
        """
        return [
            IceGatheringState.GATHERING
            if link.ice.gathering_state is IceGatheringState.NEW
            and link.agent.gathering_state is not IceGatheringState.NEW
            else link.ice.gathering_state
            for link in self._used()
        ]

    def dtls_states(self) -> list[DtlsTransportState]:
        """The states of all DTLS transports in use."""
        return [link.dtls.state for link in self._used()]

    def _create_transport(self, effect: fx.CreateTransport) -> None:
        self.transports[effect.transport] = PeerTransport(self._session, effect.transport)
        # a new transport changes the states of a connection that was connected
        self._session.queue_task(self._session.aggregates.announce_all)

    def _close_transport(self, effect: fx.CloseTransport) -> None:
        link = self.transports.pop(effect.transport)
        self._closing += link.close()
        self._transports_gone = True
        self._session.queue_task(link.announce_closed)

    def _set_ice_role(self, effect: fx.SetIceRole) -> None:
        self.transports[effect.transport].agent.set_role(effect.role)

    def _start_ice_generation(self, effect: fx.StartIceGeneration) -> None:
        agent = self.transports[effect.transport].agent
        if agent.local_parameters is not None:
            self._session.restarts += 1
        agent.start_generation(effect.local)

    def _set_remote_ice(self, effect: fx.SetRemoteIce) -> None:
        link = self.transports[effect.transport]
        link.agent.set_remote_parameters(effect.remote)
        for candidate in effect.candidates:
            link.add_remote_candidate(candidate)
        if effect.end_of_candidates:
            link.agent.end_of_remote_candidates(effect.remote.ufrag)

    def _add_remote_candidate(self, effect: fx.AddRemoteCandidate) -> None:
        self.transports[effect.transport].add_remote_candidate(effect.candidate)

    def _end_of_remote_candidates(self, effect: fx.EndOfRemoteCandidates) -> None:
        self.transports[effect.transport].agent.end_of_remote_candidates(effect.ufrag)

    def _rollback_ice(self, effect: fx.RollbackIce) -> None:
        self.transports[effect.transport].agent.rollback()

    def _start_dtls(self, effect: fx.StartDtls) -> None:
        link = self.transports[effect.transport]
        if effect.restart:
            link.replace_dtls()
            for core in self.transceivers.values():
                if core.transport is link.dtls:
                    self._attach(core, link)
            self._closing.append(self.data.restart(link))
        link.start_dtls(effect.role, effect.fingerprints)

    # --- transceivers -----------------------------------------------------------------------------

    def _create_transceiver(self, effect: fx.CreateTransceiver) -> None:
        # loads libav and the codecs, which connections for data alone do without
        from rtcpeer.media.receiver import MediaReceiver
        from rtcpeer.media.sender import MediaSender
        from rtcpeer.media.track import RemoteTrack

        name = f"{self._session.name}/{effect.kind}{effect.transceiver}"
        track = RemoteTrack(effect.kind.value, effect.track_id)
        core: ShownTransceiver = TransceiverCore(
            self._session,
            effect.transceiver,
            effect.kind,
            MediaSender(effect.kind.value, name=name),
            MediaReceiver(
                effect.kind.value, track, name=name, picture_max=self._session.settings.max_picture_size
            ),
            track,
        )
        core.show_as(RTCRtpTransceiver(core), RTCRtpSender(core), RTCRtpReceiver(core))
        self.transceivers[effect.transceiver] = core
        self._known[effect.transceiver] = core

    def core_of_sender(self, sender: RTCRtpSender) -> ShownTransceiver | None:
        """The transceiver of a sender that this connection made; also of one that has left the set."""
        return next((core for core in self._known.values() if core.sender is sender), None)

    def add_with_track(self, plan: Plan, track: Any) -> ShownTransceiver:
        """Carry out an addTrack or addTransceiver plan and let the sender have its track."""
        session = self._session
        self.prepare(plan)
        session.engine.commit(plan)
        assert plan.transceiver is not None
        core = self.transceivers[plan.transceiver]
        core.use_track(track)
        self.start(plan)
        self.announce(plan)
        return core

    def _attach_transport(self, effect: fx.AttachTransport) -> None:
        core = self.transceivers.get(effect.transceiver)
        if core is None:
            return
        if effect.transport is None:
            core.transport = None
        else:
            self._attach(core, self.transports[effect.transport])

    @staticmethod
    def _attach(core: ShownTransceiver, link: PeerTransport) -> None:
        core.transport = link.dtls
        core.sender_media.attach(link.dtls_transport)
        core.receiver_media.attach(link.dtls_transport)

    def _configure_receiver(self, effect: fx.ConfigureReceiver) -> None:
        core = self.transceivers.get(effect.transceiver)
        if core is None:
            return
        parameters = effect.parameters
        core.receiver_media.configure(parameters if parameters is not None and parameters.active else None)

    def _configure_sender(self, effect: fx.ConfigureSender) -> None:
        core = self.transceivers.get(effect.transceiver)
        if core is None:
            return
        parameters = effect.parameters
        core.sender_media.configure(parameters if parameters is not None and parameters.active else None)

    def _stop_transceiver(self, effect: fx.StopTransceiver) -> None:
        core = self.transceivers.get(effect.transceiver)
        if core is not None:
            self._stop(core)
            # not now: "ended" is told in a task of its own, and until then the track is live (mediacapture-main 4.3.1)
            self._session.queue_task(core.receiver_track.end)

    def _stop(self, core: ShownTransceiver) -> None:
        self._end(core.sender_media.stop)
        self._end(core.receiver_media.stop)
        core.stop_tones()

    def _remove_transceiver(self, effect: fx.RemoveTransceiver) -> None:
        core = self.transceivers.pop(effect.transceiver, None)
        if core is not None:
            core.removed()
            self._leaving.append(core)

    # --- remote tracks ----------------------------------------------------------------------------

    def _stream(self, stream_id: str) -> MediaStream:
        stream = self._streams.get(stream_id)
        if stream is None:
            stream = self._streams[stream_id] = MediaStream(id=stream_id)
        return stream

    def _mute_track(self, effect: fx.MuteTrack) -> None:
        # the receiver alone says whether media flows
        self._known[effect.transceiver].receiver_media.mute()

    def _remove_remote_track(self, effect: fx.RemoveRemoteTrack) -> None:
        stream = self._streams.get(effect.stream_id)
        core = self._known.get(effect.transceiver)
        if stream is not None and core is not None:
            remove_track(stream, core.receiver_track)

    def _add_remote_track(self, effect: fx.AddRemoteTrack) -> None:
        core = self._known[effect.transceiver]
        stream = self._stream(effect.stream_id)
        if not stream.getTracks():
            self._new_streams.append(stream)
        add_track(stream, core.receiver_track)

    def _fire_streams(self) -> None:
        """Tell "addstream" to who listens for it, once all tracks of a description are in their streams."""
        streams, self._new_streams = self._new_streams, []
        for stream in streams:
            if has_listeners(self._session.target, "addstream"):
                self._session.fire(MediaStreamEvent("addstream", {"stream": stream}))

    def _fire_track(self, effect: fx.FireTrack) -> None:
        self._fire_streams()
        core = self.transceivers.get(effect.transceiver)
        if core is None:
            return  # a listener before this one has rolled it back
        self._session.fire(
            RTCTrackEvent(
                "track",
                {
                    "receiver": core.receiver,
                    "track": core.receiver_track,
                    "streams": [self._stream(stream_id) for stream_id in effect.stream_ids],
                    "transceiver": core.transceiver,
                },
            )
        )

    # --- data -------------------------------------------------------------------------------------

    def _create_data(self, effect: fx.CreateData) -> None:
        self.data.create(self.transports[effect.transport])

    def _attach_data(self, effect: fx.AttachData) -> None:
        self.data.attach(self.transports[effect.transport])

    def _start_data(self, effect: fx.StartData) -> None:
        self.data.start(
            self.transports[effect.transport], effect.local_port, effect.remote_port, effect.max_message_size
        )

    def _close_data(self, effect: fx.CloseData) -> None:
        if effect.rolled_back:
            self.data.roll_back()
        else:
            self._closing.append(self.data.close())

    # --- other announcements ----------------------------------------------------------------------

    def _update_negotiation_needed(self, effect: fx.UpdateNegotiationNeeded) -> None:
        self._session.update_negotiation_needed(clear=effect.clear)

    def _signaling_state_changed(self, _effect: fx.SignalingStateChanged) -> None:
        self._session.fire(Event("signalingstatechange"))

    # --- the end ----------------------------------------------------------------------------------

    def close(self) -> list[Awaitable[Any]]:
        """Close everything now (webrtc-pc 4.4.1.10); what is given back ends when it is gone.

        Media first (it says goodbye over SRTP), then data (over DTLS), then DTLS (over ICE), then ICE.
        """
        for core in self.transceivers.values():
            self._stop(core)
            core.receiver_track.end()
        self._end(lambda: self.data.close(connection_closed=True))
        for link in self.transports.values():
            self._end(link.close)
        waits, self._closing = self._closing, []
        return waits

    def _end(self, part: Callable[[], Any]) -> None:
        """End a part; when it fails that is reported, and the others end all the same."""
        try:
            gone = part()
        except Exception as error:
            self._session.report_failure("failed to close a part", error)
        else:
            self._closing += gone if isinstance(gone, list) else [gone]

    def release(self) -> None:
        """Everything is gone: let go of each other, so that no garbage collection is needed."""
        for link in self.transports.values():
            link.release()
        self.data.release()
        # what can still be called on a closed connection changes records alone
        self._session.carry_out = self._session.engine.commit
        del self._session


# without these a transport cannot carry anything
_VITAL = (fx.SetIceRole, fx.StartIceGeneration, fx.SetRemoteIce, fx.StartDtls, fx.StartData, fx.AttachData)
_PROVISIONAL = {SignalingState.HAVE_LOCAL_PRANSWER, SignalingState.HAVE_REMOTE_PRANSWER}

# one table for all connections: what to do for each effect
_EFFECTS: dict[type, Callable[[Executor, Any], None]] = {
    fx.CreateTransport: Executor._create_transport,
    fx.CreateTransceiver: Executor._create_transceiver,
    fx.CreateData: Executor._create_data,
    fx.AttachTransport: Executor._attach_transport,
    fx.AttachData: Executor._attach_data,
    fx.SetIceRole: Executor._set_ice_role,
    fx.StartIceGeneration: Executor._start_ice_generation,
    fx.SetRemoteIce: Executor._set_remote_ice,
    fx.AddRemoteCandidate: Executor._add_remote_candidate,
    fx.EndOfRemoteCandidates: Executor._end_of_remote_candidates,
    fx.RollbackIce: Executor._rollback_ice,
    fx.StartDtls: Executor._start_dtls,
    fx.ConfigureReceiver: Executor._configure_receiver,
    fx.ConfigureSender: Executor._configure_sender,
    fx.StartData: Executor._start_data,
    fx.CloseData: Executor._close_data,
    fx.StopTransceiver: Executor._stop_transceiver,
    fx.RemoveTransceiver: Executor._remove_transceiver,
    fx.CloseTransport: Executor._close_transport,
    fx.UpdateNegotiationNeeded: Executor._update_negotiation_needed,
    fx.SignalingStateChanged: Executor._signaling_state_changed,
    fx.MuteTrack: Executor._mute_track,
    fx.RemoveRemoteTrack: Executor._remove_remote_track,
    fx.AddRemoteTrack: Executor._add_remote_track,
    fx.FireTrack: Executor._fire_track,
}

"""A plan for a change of the session, the effects in it, and the state that it replaces.

Owns: the words in which the engine tells the peer what to do, frozen values; and the one place of the session state.

How a plan is carried out, always in this order and without a suspension between 2 and 4:

1. ``prepare``: make objects.  May fail; then the executor drops what it made and the plan, and nothing happened.
2. ``engine.commit(plan)``: one assignment.  Raises `StalePlan` when the state is no longer the one planned from
   (an ``addTrack`` came in between): drop what was made, plan again.
3. ``start``: make the objects do what was decided, in the order listed.  These calls do not fail.
4. ``announce``: tell the listeners, in the order listed (the order of webrtc-pc 4.4.1.5).

``first``, when present, is a plan to carry out instead: the implicit rollback of a glare (webrtc-pc
setRemoteDescription), with its own ``signalingstatechange``.  Afterwards let queued tasks run once and **ask the
engine again** with the same arguments: listeners may have changed things, and the description itself has not been
looked at yet (webrtc-pc: a remote offer that turns out to be invalid does not undo the rollback).

While a plan is carried out the peer holds back what agents report (an agent may find its first candidate inside
`StartIceGeneration`): webrtc-pc queues a task for that.
"""

from __future__ import annotations

from dataclasses import field

from rtcpeer.jsep.state import SessionState
from rtcpeer.records import record
from rtcpeer.rtp.parameters import ReceiveParameters, SendParameters
from rtcpeer.values import (
    Candidate,
    DtlsRole,
    Fingerprint,
    IceParameters,
    IceRole,
    MediaKind,
    SignalingState,
)

# --- prepare --------------------------------------------------------------------------------------


@record(frozen=True, slots=True)
class CreateTransport:
    """Make an ICE agent and its DTLS transport; no I/O yet."""

    transport: int


@record(frozen=True, slots=True)
class CreateTransceiver:
    """Make transceiver, sender and receiver objects for a record (by a remote description, addTransceiver or addTrack).

    ``by_remote`` is False when the call of the user made it.  ``track_id`` is the id a remote description suggests
    for the receiver's track (None: draw one).
    """

    transceiver: int
    kind: MediaKind
    by_remote: bool
    track_id: str | None


@record(frozen=True, slots=True)
class CreateData:
    """Make the SCTP transport object over this transport (state "connecting")."""

    transport: int


# --- start ----------------------------------------------------------------------------------------


@record(frozen=True, slots=True)
class AttachTransport:
    """Sender and receiver of this transceiver use this transport from now on; None = null (rollback)."""

    transceiver: int
    transport: int | None


@record(frozen=True, slots=True)
class AttachData:
    """The SCTP association runs over this transport from now on (bundling moved it, before it was started)."""

    transport: int


@record(frozen=True, slots=True)
class SetIceRole:
    """The role by description (webrtc-pc 4.4.1.5, last steps); given once per transport, before checks start."""

    transport: int
    role: IceRole


@record(frozen=True, slots=True)
class StartIceGeneration:
    """Begin gathering with these credentials: the first generation, or an ICE restart beside the old one."""

    transport: int
    local: IceParameters


@record(frozen=True, slots=True)
class SetRemoteIce:
    """Remote credentials, and the candidates of the description.

    ``candidates`` carry ``ufrag``.  The same credentials may come again with new candidates.
    """

    transport: int
    remote: IceParameters
    candidates: tuple[Candidate, ...]
    end_of_candidates: bool


@record(frozen=True, slots=True)
class AddRemoteCandidate:
    """A trickled remote candidate; ``candidate.ufrag`` says the generation (None = newest)."""

    transport: int
    candidate: Candidate


@record(frozen=True, slots=True)
class EndOfRemoteCandidates:
    """The remote side has no more candidates for this generation (None = newest)."""

    transport: int
    ufrag: str | None


@record(frozen=True, slots=True)
class RollbackIce:
    """Forget the generation (or remote credentials) that a rolled-back description brought; gathering of it ends."""

    transport: int


@record(frozen=True, slots=True)
class StartDtls:
    """Begin the handshake when ICE is ready, as both sides are known, and accept only these fingerprints.

    ``restart``: the transport had an association with another certificate (RFC 8842 section 5.5); it is replaced.
    """

    transport: int
    role: DtlsRole
    fingerprints: tuple[Fingerprint, ...]
    restart: bool


@record(frozen=True, slots=True)
class ConfigureReceiver:
    """Receive by these parameters (start or update); None = stop receiving and forget the routes."""

    transceiver: int
    parameters: ReceiveParameters | None


@record(frozen=True, slots=True)
class ConfigureSender:
    """Send by these parameters (start or update); None = stop sending."""

    transceiver: int
    parameters: SendParameters | None


@record(frozen=True, slots=True)
class StartData:
    """An answer accepted the data section; may come again with a new max_message_size (0 = no limit)."""

    transport: int
    local_port: int
    remote_port: int
    max_message_size: int


@record(frozen=True, slots=True)
class CloseData:
    """The association is over: its section was rejected, or (``rolled_back``) the offer that would have begun it.

    After a rollback channels that have not opened stay "connecting" and wait for the next association.
    """

    rolled_back: bool = False


@record(frozen=True, slots=True)
class StopTransceiver:
    """webrtc-pc "stop sending and receiving": sender and receiver stop, the receiver's track ends (with its event)."""

    transceiver: int


@record(frozen=True, slots=True)
class RemoveTransceiver:
    """The record left the set of transceivers; its objects live on for whoever holds them."""

    transceiver: int


@record(frozen=True, slots=True)
class CloseTransport:
    """Close DTLS and ICE of a transport that no section uses any more (bundled away, rejected, rolled back)."""

    transport: int


# --- announce -------------------------------------------------------------------------------------


@record(frozen=True, slots=True)
class UpdateNegotiationNeeded:
    """Run "update the negotiation-needed flag"; with ``clear`` the flag is cleared first."""

    clear: bool = False


@record(frozen=True, slots=True)
class SignalingStateChanged:
    """Fire ``signalingstatechange``."""

    state: SignalingState


@record(frozen=True, slots=True)
class MuteTrack:
    """Set the muted state of the receiver's track to true (fires ``mute`` when it was false)."""

    transceiver: int


@record(frozen=True, slots=True)
class RemoveRemoteTrack:
    """Remove the receiver's track from the remote stream with this id (fires ``removetrack``)."""

    transceiver: int
    stream_id: str


@record(frozen=True, slots=True)
class AddRemoteTrack:
    """Add the receiver's track to the remote stream with this id (made on first mention; fires ``addtrack``)."""

    transceiver: int
    stream_id: str


@record(frozen=True, slots=True)
class FireTrack:
    """Fire ``track`` with the streams of these ids."""

    transceiver: int
    stream_ids: tuple[str, ...]


@record(frozen=True, slots=True)
class LocalCandidate:
    """Fire ``icecandidate``: ``text`` is "" at the end of a generation of this section."""

    text: str
    mid: str
    mline_index: int
    ufrag: str
    candidate: Candidate | None


Prepare = CreateTransport | CreateTransceiver | CreateData
Start = (
    AttachTransport
    | AttachData
    | SetIceRole
    | StartIceGeneration
    | SetRemoteIce
    | AddRemoteCandidate
    | EndOfRemoteCandidates
    | RollbackIce
    | StartDtls
    | ConfigureReceiver
    | ConfigureSender
    | StartData
    | CloseData
    | StopTransceiver
    | RemoveTransceiver
    | CloseTransport
)
Announce = (
    UpdateNegotiationNeeded
    | SignalingStateChanged
    | MuteTrack
    | RemoveRemoteTrack
    | AddRemoteTrack
    | FireTrack
    | LocalCandidate
)


@record(frozen=True, slots=True)
class Plan:
    """A plan: one change, ready to be carried out (see the head of this module).

    Attributes:
        base: the state it was planned from; next: the state after it.
        text: the description that createOffer/createAnswer made, or that was set; else "".
        transceiver: id of the transceiver that addTransceiver/addTrack made or chose; else None.
    """

    base: SessionState
    next: SessionState
    prepare: tuple[Prepare, ...] = ()
    start: tuple[Start, ...] = ()
    announce: tuple[Announce, ...] = ()
    first: Plan | None = None
    text: str = field(default="", repr=False)
    transceiver: int | None = None


class StalePlan(Exception):
    """The state is not the one that the plan was made from."""


class StateHolder:
    """The state in force.

    Attributes:
        state: the present state; only `commit` replaces it.
    """

    __slots__ = ("state",)

    def __init__(self, state: SessionState) -> None:
        self.state: SessionState = state

    def commit(self, plan: Plan) -> None:
        """Make the plan's state the present one.

        Raises:
            StalePlan: the state has changed since the plan was made; make it again.
        """
        if plan.base is not self.state:
            raise StalePlan
        self.state = plan.next

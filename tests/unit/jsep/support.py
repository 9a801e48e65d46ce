"""Engines without chance, and a peer that only keeps book of effects: what all JSEP tests stand on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from rtcpeer.jsep.effects import (
    Announce,
    AttachData,
    AttachTransport,
    CloseData,
    CloseTransport,
    ConfigureReceiver,
    ConfigureSender,
    CreateData,
    CreateTransceiver,
    CreateTransport,
    FireTrack,
    LocalCandidate,
    Plan,
    RemoveTransceiver,
    RollbackIce,
    SetRemoteIce,
    SignalingStateChanged,
    StartDtls,
    StartIceGeneration,
    StopTransceiver,
)
from rtcpeer.jsep.engine import Engine
from rtcpeer.jsep.inputs import EngineSettings, OfferOptions, TransceiverInit
from rtcpeer.jsep.state import SessionState, Transceiver
from rtcpeer.rtp.parameters import Capabilities
from rtcpeer.sdp.text import parse_untrusted, write
from rtcpeer.values import (
    Candidate,
    CandidateType,
    Codec,
    Direction,
    DtlsRole,
    Feedback,
    Fingerprint,
    HeaderExtension,
    IceParameters,
    MediaKind,
    SdpType,
    SignalingState,
)

FEEDBACK = (Feedback("nack"), Feedback("nack", "pli"), Feedback("ccm", "fir"), Feedback("goog-remb"))
OPUS = Codec("audio/opus", 48000, 2, (("minptime", "10"), ("useinbandfec", "1")))
PCMU = Codec("audio/PCMU", 8000, 1, payload_type=0)
PCMA = Codec("audio/PCMA", 8000, 1, payload_type=8)
VP8 = Codec("video/VP8", 90000, None, (), FEEDBACK)
H264 = Codec(
    "video/H264",
    90000,
    None,
    (("level-asymmetry-allowed", "1"), ("packetization-mode", "1"), ("profile-level-id", "42e01f")),
    FEEDBACK,
)
RTX = Codec("video/rtx", 90000)
MID = HeaderExtension("urn:ietf:params:rtp-hdrext:sdes:mid")
LEVEL = HeaderExtension("urn:ietf:params:rtp-hdrext:ssrc-audio-level")
RID = HeaderExtension("urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id")
AUDIO = Capabilities((OPUS, PCMU, PCMA), (OPUS, PCMU, PCMA), (MID, LEVEL))
VIDEO = Capabilities((VP8, H264, RTX), (VP8, H264, RTX), (MID, RID))
SETTINGS = EngineSettings({"audio": AUDIO, "video": VIDEO}.__getitem__)
FINGERPRINT = Fingerprint("sha-256", ":".join(["AB"] * 32))


class Counter:
    """An Entropy that counts; the name keeps two engines apart."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.numbers: Iterator[int] = count(1)

    def session_id(self) -> int:
        return 1000 + next(self.numbers)

    def ice_parameters(self) -> IceParameters:
        number = next(self.numbers)
        return IceParameters(f"{self.name}{number:04d}", f"{self.name}pwd{number:022d}")

    def ssrc(self) -> int:
        return 10_000 + next(self.numbers)

    def identifier(self) -> str:
        return f"{self.name}-{next(self.numbers)}"


@dataclass
class Objects:
    """What a peer would have made and not yet closed; effects that make no sense are caught here."""

    transports: set[int] = field(default_factory=set)
    closed: set[int] = field(default_factory=set)
    transceivers: dict[int, int | None] = field(default_factory=dict)
    data: int | None = None
    generations: dict[int, list[IceParameters]] = field(default_factory=dict)
    remote: dict[int, IceParameters] = field(default_factory=dict)
    dtls: dict[int, DtlsRole] = field(default_factory=dict)
    senders: dict[int, Any] = field(default_factory=dict)
    receivers: dict[int, Any] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)


class Peer:
    """One side: an engine whose plans are carried out on `Objects`."""

    def __init__(self, name: str, settings: EngineSettings = SETTINGS) -> None:
        self.engine = Engine(settings, Counter(name), write, parse_untrusted)
        self.engine.fingerprints = (FINGERPRINT,)
        self.objects = Objects()
        self.announced: list[Announce] = []

    @property
    def state(self) -> SessionState:
        return self.engine.state

    @property
    def signaling(self) -> SignalingState:
        return self.state.signaling

    def carry_out(self, plan: Plan) -> Plan:
        assert plan.first is None
        objects = self.objects
        for effect in plan.prepare:
            match effect:
                case CreateTransport(id):
                    assert id not in objects.transports | objects.closed
                    objects.transports.add(id)
                case CreateTransceiver(id):
                    assert id not in objects.transceivers
                    objects.transceivers[id] = None
                case CreateData(id):
                    assert id in objects.transports
                    assert objects.data is None
                    objects.data = id
        self.engine.commit(plan)
        for step in plan.start:
            self._start(step)
        self.announced += plan.announce
        self.check()
        return plan

    def _start(self, effect: Any) -> None:
        objects = self.objects
        match effect:
            case AttachTransport(id, transport):
                assert transport is None or transport in objects.transports
                objects.transceivers[id] = transport
            case AttachData(transport):
                assert transport in objects.transports
                assert objects.data is not None
                objects.data = transport
            case CloseData():
                assert objects.data is not None
                objects.data = None
            case StartIceGeneration(id, local):
                assert id in objects.transports
                objects.generations.setdefault(id, []).append(local)
            case SetRemoteIce(id, remote):
                assert id in objects.transports
                assert objects.generations[id]
                objects.remote[id] = remote
            case RollbackIce(id):
                objects.generations[id].pop()
            case StartDtls(id, role, fingerprints, restart):
                assert fingerprints
                assert restart == (id in objects.dtls)
                objects.dtls[id] = role
            case ConfigureReceiver(id, parameters):
                objects.receivers[id] = parameters
            case ConfigureSender(id, parameters):
                objects.senders[id] = parameters
            case StopTransceiver(id):
                assert id not in objects.ended
                objects.ended.add(id)
            case RemoveTransceiver(id):
                assert id in objects.ended
                del objects.transceivers[id]
            case CloseTransport(id):
                objects.transports.remove(id)
                objects.closed.add(id)
                objects.dtls.pop(id, None)

    def check(self) -> None:
        """What the state says and what was made are the same."""
        objects, state = self.objects, self.state
        assert {t.id for t in state.transports} == objects.transports
        assert {t.id: t.transport for t in state.transceivers if not t.stopped} == {
            id: t
            for id, t in objects.transceivers.items()
            if not (r := state.transceiver(id)) or not r.stopped
        }
        assert (state.data.transport if state.data else None) == objects.data
        for transport in state.transports:
            generations = objects.generations.get(transport.id, [])
            assert (generations[-1] if generations else None) == transport.local
        for record in state.transceivers:
            assert objects.senders.get(record.id) == record.send_parameters
            assert objects.receivers.get(record.id) == record.receive_parameters

    # --- what a program does ---

    def transceiver(self, kind: str = "audio", direction: Direction = Direction.SENDRECV, **more: Any) -> int:
        init = TransceiverInit(MediaKind(kind), direction, **more)
        plan = self.carry_out(self.engine.operations.plan_add_transceiver(init))
        assert plan.transceiver is not None
        return plan.transceiver

    def track(self, kind: str = "audio", *streams: str, id: str | None = None) -> int:
        init = TransceiverInit(
            MediaKind(kind), stream_ids=streams, track_id=id or self.engine.entropy.identifier()
        )
        plan = self.carry_out(self.engine.operations.plan_add_track(init))
        assert plan.transceiver is not None
        return plan.transceiver

    def want_data(self) -> None:
        self.carry_out(self.engine.operations.plan_want_data())

    def record(self, id: int) -> Transceiver:
        record = self.state.transceiver(id)
        assert record is not None
        return record

    def offer(self, **options: Any) -> str:
        return self.carry_out(self.engine.plan_offer(OfferOptions(**options))).text

    def answer(self) -> str:
        return self.carry_out(self.engine.plan_answer()).text

    def local(self, type: SdpType | None = None, text: str = "") -> str:
        self.carry_out(self.engine.plan_local(type, text))
        described = self.state.local_description
        return described.text if described is not None else ""

    def remote(self, type: SdpType, text: str) -> None:
        plan = self.engine.plan_remote(type, text)
        if plan.first is not None:
            self.carry_out(plan.first)
            plan = self.engine.plan_remote(type, text)
        self.carry_out(plan)

    def found(self, transport: int, candidate: Candidate | None) -> LocalCandidate | None:
        local = next(t.local for t in self.state.transports if t.id == transport)
        assert local is not None
        plan = self.carry_out(self.engine.plan_local_candidate(transport, local.ufrag, candidate))
        return next((a for a in plan.announce if isinstance(a, LocalCandidate)), None)

    def states(self) -> list[str]:
        return [a.state.value for a in self.announced if isinstance(a, SignalingStateChanged)]

    def tracks(self) -> list[FireTrack]:
        return [a for a in self.announced if isinstance(a, FireTrack)]


def pair(settings: EngineSettings = SETTINGS) -> tuple[Peer, Peer]:
    return Peer("a", settings), Peer("b", settings)


def negotiate(offerer: Peer, answerer: Peer) -> None:
    """One complete exchange."""
    answerer.remote(SdpType.OFFER, offerer.local())
    offerer.remote(SdpType.ANSWER, answerer.local())


def host(number: int = 1, **more: Any) -> Candidate:
    return Candidate(
        "1", 1, "udp", 2130706431, f"192.0.2.{number}", 5000 + number, CandidateType.HOST, **more
    )

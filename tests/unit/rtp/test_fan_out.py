"""The helper of forwarding: what leaves with it is what leaves without it, whatever comes; and when it is not used."""

import asyncio
import ctypes
import logging
import random
import shutil
import subprocess
import sys
from array import array

import pytest

from rtcpeer.rtp import build_helper, fan_out, libsrtp
from rtcpeer.rtp.forwarding import Output, SourceStream
from rtcpeer.rtp.headers import URI_MID, URI_TRANSPORT_CC, HeaderPlan
from rtcpeer.rtp.packet import URI_ABS_SEND_TIME
from rtcpeer.rtp.relay_packet import URI_AUDIO_LEVEL, RelayPacket
from rtcpeer.rtp.send_state import IDENTIFIER, NUMBER, SENT_AT, SENT_SIZE, SESSION, SendState
from rtcpeer.rtp.session import RtpSession
from rtcpeer.rtp.srtp import PROFILES, SrtpKeys, make_sessions
from rtcpeer.values import HeaderExtension
from tests.unit.rtp.packets import vp8

TYPES = {96: 100}
PLANS = [
    HeaderPlan(TYPES, "0", {}),
    HeaderPlan(TYPES, "0", {URI_TRANSPORT_CC: 5, URI_MID: 3}),
    HeaderPlan(TYPES, "a longer mid", {URI_TRANSPORT_CC: 14, URI_MID: 20, URI_AUDIO_LEVEL: 2}),
    HeaderPlan(TYPES, "0", {URI_ABS_SEND_TIME: 4, URI_MID: 1}),
]


class Sender:
    """What a session needs of one."""

    def __init__(self, kind):
        self.kind = kind
        self.need, self.wanted, self.weight = None, 0, 1.0

    def on_transport(self, connected):
        pass

    def on_estimate(self, bitrate):
        pass

    def sender_reports(self, now):
        return []


class World:
    """Two sources and their subscribers, each with a transport; two of them are the same but for the helper."""

    def __init__(self, seed, *, is_video, gather):
        chance = random.Random(seed)
        self.left = []
        self.streams = [SourceStream(ssrc, is_video=is_video, clock_rate=90000) for ssrc in (1, 2)]
        self.sessions, self.outputs = [], []
        for index in range(6):
            profile = chance.choice(PROFILES)
            key = chance.randbytes(2 * (profile.key_length + profile.salt_length))
            session = RtpSession(
                lambda profile=profile, key=key: make_sessions(SrtpKeys(profile, key), is_server=True),
                lambda packet, index=index: self.left.append((index, packet)),
            )
            plan = chance.choice(PLANS)
            wide = {PLANS[1]: 5, PLANS[2]: 14}.get(plan)
            extensions = () if wide is None else (HeaderExtension(id=wide, uri=URI_TRANSPORT_CC),)
            session.add_sender(Sender("video" if is_video else "audio"), "0", [70 + index], extensions)
            session.state.words[NUMBER] = chance.choice((1, 65533))
            if chance.random() < 0.9:
                session.on_connected()
            output = Output(
                70 + index,
                plan,
                session.send_parts,
                number=0x10000 + chance.randrange(65536),
                timestamp=None,
                sent_at=0.0,
                clock_rate=90000,
            )
            output.gather, output.session = gather, session
            self.sessions.append(session)
            self.outputs.append(output)

    def take(self, at, number, timestamp, payload, elements):
        packet = RelayPacket(96, 0x80, number, timestamp, 1 + at, payload)
        packet.elements = elements
        try:
            self.streams[at].take(
                packet, "VP8" if self.streams[at].is_video else "OPUS", 0.01 * len(self.left)
            )
        except ValueError:
            self.left.append(("malformed", payload))

    def budget(self, index, value):
        if self.sessions[index]._pacing is not None:
            self.sessions[index]._pacing.set_estimate(value)

    def close(self, index):
        self.sessions[index].on_closed()

    def connect(self, index):
        self.sessions[index].on_connected()

    def join(self, index, at):
        output = self.outputs[index]
        if output.stream is not self.streams[at]:
            self.streams[at].join(output, 0.01 * len(self.left))

    def leave(self, index):
        self.outputs[index].detach()

    def facts(self):
        """All that may differ."""
        return [
            (
                list(session.state.words[IDENTIFIER : NUMBER + 1]),
                session.state.budget[0],
                session.state.sent_at.tobytes(),
                session.state.sent_bytes.tobytes(),
                session.unsendable,
                session._pacing and session._pacing.queued,
                output.counts(),
                output.holes(),
                output.next_number,
            )
            for session, output in zip(self.sessions, self.outputs, strict=True)
        ]


def script(chance, is_video):
    """What happens, at random; packets come late, twice, malformed and too long."""
    numbers, picture = [chance.randrange(65536), chance.randrange(65536)], chance.randrange(32768)
    for index in range(6):
        yield "join", index, index % 2
    for _ in range(250):
        what = chance.random()
        index, at = chance.randrange(6), chance.randrange(2)
        if what < 0.05:
            yield "join", index, at
        elif what < 0.06:
            yield "leave", index
        elif what < 0.10:
            yield "budget", index, chance.choice((0, 30_000, 1_000_000))
        elif what < 0.11:
            yield "close", index
        elif what < 0.13:
            yield "connect", index
        else:
            size = chance.choice((0, 1, 20, 20, 1000, 1000, 1900, 2010, 2040, 3000))
            numbers[at] = numbers[at] + 1 & 0xFFFF
            number = numbers[at] - chance.choice((0, 0, 0, 0, 0, 1, 3)) & 0xFFFF
            picture += 1
            payload = bytes(size)
            if is_video:
                payload = vp8(picture, key=chance.random() < 0.2, layer=picture & 0xFF, size=size)
                if chance.random() < 0.3:
                    # other bits promise other fields, which may be cut off
                    payload = (
                        bytes((payload[0], chance.randrange(256))) + payload[2 : chance.randrange(2, 12)]
                    )
                if chance.random() < 0.1:
                    payload = payload[: chance.randrange(8)]
            elements = [(URI_AUDIO_LEVEL, bytes((chance.randrange(256),)))] if chance.random() < 0.5 else []
            yield "take", at, number, picture * 3000 & 0xFFFFFFFF, payload, elements


@pytest.mark.parametrize("is_video", [True, False])
@pytest.mark.parametrize("seed", range(12))
async def test_the_same_leaves_with_the_helper_and_without(compiled_helper, monkeypatch, seed, is_video):
    monkeypatch.setattr(fan_out, "_helper", compiled_helper)
    plain = World(seed, is_video=is_video, gather=None)
    helped = World(seed, is_video=is_video, gather=fan_out.gather())
    for name, *arguments in script(random.Random(seed), is_video):
        before = len(plain.left)
        if name == "budget":
            # what waits leaves
            await asyncio.sleep(0.02)
        getattr(plain, name)(*arguments)
        getattr(helped, name)(*arguments)
        # those whom the helper has sent to are before those whom it has left
        assert sorted(plain.left[before:], key=repr) == sorted(helped.left[before:], key=repr)
        assert plain.facts() == helped.facts()
    assert len(plain.left) > 100
    for session in (*plain.sessions, *helped.sessions):
        session.on_closed()


async def test_what_is_sent_may_bring_the_next_packet(compiled_helper, monkeypatch):
    monkeypatch.setattr(fan_out, "_helper", compiled_helper)
    world = World(1, is_video=False, gather=fan_out.gather())
    for index in range(6):
        world.connect(index)
        world.join(index, 0)
    world.take(0, 1, 0, b"first", [])
    numbers = iter(range(2, 4))

    def send(packet):
        world.left.append((0, packet))
        number = next(numbers, None)
        if number is not None:
            world.take(0, number, 0, b"next", [])

    for session in world.sessions:
        session.send_protected = session._send = send
    world.streams[0].leave(world.outputs[5])
    world.left.clear()
    world.take(0, 1 + 0x10000 & 0xFFFF, 0, b"twice", [])
    world.take(0, 4, 0, b"fourth", [])
    assert len(world.left) == 15
    assert len({packet for _, packet in world.left}) == 15


async def test_what_cannot_be_protected_is_counted_once(compiled_helper, monkeypatch):
    monkeypatch.setattr(fan_out, "_helper", compiled_helper)
    world = World(1, is_video=False, gather=fan_out.gather())
    for session in world.sessions:
        session.on_connected()
        session._key()
    packet = RelayPacket(96, 0, 1, 0, 1, b"x")
    # an extension that is not there
    table = fan_out.Table(tuple(world.outputs))
    assert table.send(packet, (0x90, 96, b"x", 0)) == []
    assert [session.unsendable for session in world.sessions] == [1] * 6
    assert world.left == []
    # nor is there a session
    world.outputs[2].session = None
    table = fan_out.Table(tuple(world.outputs))
    assert table.send(packet, (0x80, 96, b"x", 0)) == [world.outputs[2]]
    assert [index for index, _ in world.left] == [0, 1, 3, 4, 5]


async def test_why_a_packet_cannot_be_protected_is_told_as_without_the_helper(compiled_helper, monkeypatch):
    monkeypatch.setattr(fan_out, "_helper", compiled_helper)
    world = World(1, is_video=False, gather=None)
    told = []
    for session in world.sessions:
        session.on_connected()
        session._key()
        session.not_protected = lambda exc: told.append((type(exc), str(exc)))
    # an extension that is not there
    fan_out.Table(tuple(world.outputs)).send(RelayPacket(96, 0, 1, 0, 1, b"x"), (0x90, 96, b"x", 0))
    world.sessions[0].send_parts(0x90, 96, 1, 0, 70, b"x")
    assert len(told) == 7
    assert len(set(told)) == 1


@pytest.mark.parametrize(("count", "size"), [(8, 1900), (100, 20)])
async def test_the_helper_sends_to_as_many_as_there_are(compiled_helper, monkeypatch, count, size):
    """What it writes takes more than it had memory for: that grows, once for all tables of the loop."""
    monkeypatch.setattr(fan_out, "_helper", compiled_helper)
    monkeypatch.setattr(fan_out._Scratch, "__init__", lambda scratch: scratch.grow(1000))
    world = World(1, is_video=False, gather=None)
    for session in world.sessions:
        session.on_connected()
        session._key()
    table = fan_out.Table(tuple(world.outputs[:1] * count))
    for number in (1, 2):
        assert table.send(RelayPacket(96, 0, number, 0, 1, bytes(size)), (0x80, 96, bytes(size), 0)) == []
    assert len(world.left) == 2 * count
    memory = table._scratch.data
    assert table.send(RelayPacket(96, 0, 3, 0, 1, b"x"), (0x80, 96, b"x", 0)) == []
    assert table._scratch.data is memory


async def test_nothing_is_protected_past_a_session_that_is_closed_or_has_a_pacer():
    profile = PROFILES[0]
    key = bytes(2 * (profile.key_length + profile.salt_length))
    session = RtpSession(lambda: make_sessions(SrtpKeys(profile, key), is_server=True), lambda packet: None)
    assert not session.state.words[SESSION]
    session.on_connected()
    session.send_parts(0x80, 96, 1, 2, 3, b"x")
    assert session.state.words[SESSION]

    class Pacer:
        def take(self, packet):
            pass

    session.pacer = Pacer()
    assert not session.state.words[SESSION]
    session.pacer = None
    assert session.state.words[SESSION]
    session.on_closed()
    assert not session.state.words[SESSION]
    session.pacer = None
    assert not session.state.words[SESSION]


class Records:
    """A call of the helper with whatever the records say, between bytes that it must not touch."""

    def __init__(self, call):
        self.call = call
        profile = PROFILES[0]
        key = bytes(range(profile.key_length)) * 2 + bytes(2 * profile.salt_length)
        self.srtp = make_sessions(SrtpKeys(profile, key), is_server=True)
        self.state = SendState()
        self.state.remember()
        self.state.open(libsrtp.session_address(self.srtp.protect_parts), self.srtp)
        self.output = bytearray(b"\xa5" * 9000)
        self.lengths = array("i", [77] * 12)

    def __call__(
        self, descriptor, *, number=5, body=b"", payload_at=0, count=1, room=4096, start=0, first=0x80
    ):
        record = fan_out._OUTPUT.pack(
            self.state.words.buffer_info()[0], self.state.budget.buffer_info()[0], start, 0, 0, 7, 1, 1, 1, 1
        )
        packet = fan_out._PACKET.pack(
            libsrtp.protect_address(), 1.0, number, 0, first, 96, payload_at, *descriptor, 0, 0
        )
        address = ctypes.addressof(ctypes.c_char.from_buffer(self.output)) + 2000
        return self.call(
            packet, record * count, count, body, len(body), address, room, self.lengths.buffer_info()[0]
        )

    @property
    def is_intact(self):
        return set(self.output[:2000]) == {0xA5}

    def is_intact_behind(self, end):
        return set(self.output[2000 + end :]) <= {0xA5}


async def test_records_at_random_never_reach_beyond_the_buffer(compiled_helper):
    chance = random.Random(10)
    call = Records(compiled_helper)
    words = (0, 0, 1, 2, 3, 7, 255, 65535, 0x7FFFFFFF, 0xFFFFFFFF)
    for number in range(10_000):
        call.output[:] = b"\xa5" * len(call.output)
        call.state.words[IDENTIFIER] = chance.choice((0, 5, 14, 15, 255, 2**63))
        call.state.words[NUMBER] = chance.choice((1, 65535, 8191, 2**40))
        size, room = chance.choice((0, 1, 7, 8, 40, 1000, 2036)), chance.choice((0, 1, 159, 160, 1500, 4096))
        call(
            [chance.choice(words) for _ in range(6)],
            number=chance.choice((number, 2**62, -(2**62))),
            body=chance.randbytes(size),
            payload_at=chance.choice((0, 1, 7, 40, 2036, 65535)),
            count=chance.choice((0, 1, 2, 11)),
            room=room,
            first=chance.choice((0x80, 0x8F, 0x90, 0x9F, 0xFF)),
        )
        assert call.is_intact
        assert call.is_intact_behind(room)
        assert call.lengths[11] == 77
    assert len(call.state.sent_at) == SENT_SIZE


async def test_packets_too_long_and_of_the_past_are_left_alone(compiled_helper):
    call = Records(compiled_helper)
    none = (0,) * 6
    assert call(none, body=bytes(2037), room=8000) == 0
    assert call(none, body=b"x", number=5, start=6) == 0
    # there is room for one of two
    assert call(none, body=b"x", count=2, room=13 + libsrtp.TRAILER_MAX) == 29
    assert list(call.lengths[:2]) == [29, 0]
    call.state.shut()
    assert call(none, body=b"x") == 0


def test_a_view_keeps_the_memory_that_the_helper_reads_in_its_place():
    state = SendState()
    state.remember()
    address = state.words[SENT_AT]
    state.remember()
    assert state.words[SENT_AT] == address == state.sent_at.buffer_info()[0]
    for memory in (state.words, state.budget, state.sent_at, state.sent_bytes):
        with pytest.raises(BufferError):
            memory.append(1)


def test_the_helper_of_another_version_is_not_used(compiled_helper, tmp_path, monkeypatch, caplog):
    file = tmp_path / "fan_out.helper"
    with monkeypatch.context() as patch:
        patch.setattr(fan_out, "version", lambda: "0123456789abcdef")
        build_helper.build(file)
    with pytest.raises(fan_out.HelperError, match="of another version"):
        fan_out.open_helper(file)
    monkeypatch.setenv(fan_out.VARIABLE, str(file))
    with caplog.at_level(logging.WARNING):
        call, state = fan_out._load()
    assert call is None
    assert state.code == "unusable"
    assert "build_helper" in state.sentence
    assert "goes on without its helper" in caplog.text


def test_a_file_that_is_no_helper_is_told(tmp_path, monkeypatch, caplog):
    file = tmp_path / "none"
    monkeypatch.setenv(fan_out.VARIABLE, str(file))
    for content in (None, b"no library"):
        caplog.clear()
        if content is not None:
            file.write_bytes(content)
        with caplog.at_level(logging.WARNING):
            call, state = fan_out._load()
        assert call is None
        assert (state.code, state.file) == ("unusable", file)
        assert str(file) in caplog.text


def test_where_there_is_none_nothing_is_said(tmp_path, monkeypatch, caplog):
    monkeypatch.delenv(fan_out.VARIABLE, raising=False)
    monkeypatch.setattr(fan_out, "FILE", tmp_path / "fan_out.helper")
    call, state = fan_out._load()
    assert call is None
    assert state.code == "not-built"
    assert "build_helper" in state.sentence
    monkeypatch.setattr(fan_out, "_helper", None)
    assert fan_out.gather() is None
    assert caplog.text == ""


def test_it_is_found_in_the_package_unless_the_environment_switches_it_off(
    compiled_helper, tmp_path, monkeypatch
):
    file = tmp_path / "fan_out.helper"
    build_helper.build(file)
    monkeypatch.setattr(fan_out, "FILE", file)
    monkeypatch.delenv(fan_out.VARIABLE, raising=False)
    call, state = fan_out._load()
    assert call is not None
    assert (state.code, state.file) == ("loaded", file)
    monkeypatch.setenv(fan_out.VARIABLE, "0")
    call, state = fan_out._load()
    assert call is None
    assert (state.code, state.file) == ("off", file)


def test_the_command_builds_what_is_found(compiled_helper, tmp_path):
    file = tmp_path / "built"
    command = [sys.executable, "-m", "rtcpeer.rtp.build_helper", str(file)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"{fan_out.VARIABLE}={file}" in run.stdout
    assert fan_out.open_helper(file)
    assert [path.name for path in tmp_path.iterdir()] == ["built"]


def test_the_command_says_what_is_missing(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CC", "no-such-compiler -m64")
    assert build_helper.main([str(tmp_path / "built")]) == 1
    assert "there is no C compiler" in capsys.readouterr().err
    monkeypatch.setenv("CC", shutil.which("false") or "false")
    assert build_helper.main([str(tmp_path / "built")]) == 1
    assert "ended with 1" in capsys.readouterr().err
    assert build_helper.main(["--help"]) == 0
    assert build_helper.main(["a", "b"]) == 2
    assert list(tmp_path.iterdir()) == []

"""Descriptions made to cost: any text of up to 1 MB is applied or refused with bounded and linear work.

Work is counted (calls of functions, bytes allocated), so that neither the machine nor its load says anything.
"""

from __future__ import annotations

import os
import random
import tracemalloc
from collections.abc import Callable
from contextlib import suppress

import pytest

from rtcpeer import RTCPeerConnection
from rtcpeer.errors import RtcPeerError
from rtcpeer.sdp.building import LIMITS
from rtcpeer.sdp.text import MAX_LENGTH, MAX_LINES, MAX_SECTIONS
from rtcpeer.values import SdpType
from tests.unit.jsep.support import Peer, pair
from tests.work import Work

CASES = int(os.environ.get("RTCPEER_FUZZ_CASES", "20000")) // 2000
"""How many random ones; `make fuzz` makes more."""

CALLS_MAX = 900_000
"""For one description: a tenth of a microsecond each, this is 0.1 s."""
CALLS_OF_A_REFUSAL = 500_000
BYTES_MAX = 30_000_000

HEAD = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
CREDENTIALS = (
    "a=ice-ufrag:abcd\r\na=ice-pwd:" + "p" * 22 + "\r\n"
    "a=fingerprint:sha-256 " + ":".join(["AB"] * 32) + "\r\na=setup:actpass\r\n"
)

# what may stand in numbers: at session level, in sections, or both; {n} is the number of the line
LINES: dict[str, Callable[[int], str]] = {
    "extmap": lambda n: f"a=extmap:{n % 255 + 1} urn:x{n}",
    "fingerprint": lambda n: f"a=fingerprint:sha-256 {n % 256:02X}:{n // 256 % 256:02X}",
    "ice-options": lambda n: f"a=ice-options:x{n} " + "y " * 60,
    "group": lambda n: f"a=group:LS {n}",
    "bundle": lambda n: "a=group:BUNDLE",
    "unknown": lambda n: f"a=x{n}:y",
    "bandwidth": lambda n: f"b=AS:{n}",
    "rtcp-fb": lambda n: f"a=rtcp-fb:96 x{n}",
    "wildcard rtcp-fb": lambda n: f"a=rtcp-fb:* x{n}",
    "fmtp": lambda n: f"a=fmtp:96 a{n}=1",
    "long fmtp": lambda n: "a=fmtp:96 " + ";".join(f"a{n}x{k}=1" for k in range(50)),
    "fmtp of others": lambda n: f"a=fmtp:{n % 128} a{n}=1",
    "rtpmap": lambda n: f"a=rtpmap:{n % 128} VP8/90000",
    "ssrc": lambda n: f"a=ssrc:{n + 1} cname:x",
    "ssrc attributes": lambda n: f"a=ssrc:1 a{n}:x",
    "ssrc-group": lambda n: f"a=ssrc-group:FID {n + 1} {n + 2}",
    "msid": lambda n: f"a=msid:s{n} t{n}",
    "rid": lambda n: f"a=rid:r{n} send",
    "candidate": lambda n: (
        f"a=candidate:{n} 1 udp {n + 1} 192.0.{n // 250 % 250}.{n % 250 + 1} {n % 60000 + 1} typ host"
    ),
    "odd candidate": lambda n: f"a=candidate:{n} 1 udp 1 192.0.2.1 9 typ host" + " a b" * 100,
    "candidate of nobody": lambda n: f"a=candidate:{n} 9 dccp x typ",
    "bundle-only": lambda n: "a=bundle-only",
    "mid": lambda n: f"a=mid:m{n}",
    "direction": lambda n: "a=sendonly",
    "end-of-candidates": lambda n: "a=end-of-candidates",
}
HANDED_DOWN = ("extmap", "fingerprint", "ice-options", "group", "bundle", "unknown", "end-of-candidates")
PLACES = [*[(kind, "section") for kind in LINES], *[(kind, "session") for kind in HANDED_DOWN]]
ONE_LINE = {
    "o=": HEAD.replace("1 2", "1" * 1_000_000 + " 2"),
    "m= with formats": HEAD + CREDENTIALS + "m=audio 9 UDP/TLS/RTP/SAVPF" + " 0" * 500_000 + "\r\n",
    "m= that ends badly": HEAD + CREDENTIALS + "m=audio 9 UDP/TLS/RTP/SAVPF" + " a" * 500_000 + "\x01\r\n",
    "m= with blanks": HEAD + CREDENTIALS + "m=audio 9 UDP/TLS/RTP/SAVPF 0" + " " * 1_000_000 + "x\x00\r\n",
    "group": HEAD + "a=group:BUNDLE" + " 0" * 500_000 + "\r\n",
    "ice-options": HEAD + "a=ice-options:" + "x " * 500_000 + "\r\n",
    "extmap": HEAD + "a=extmap:1 u" + " " * 1_000_000 + "\x00\r\n",
    "simulcast": HEAD + "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=simulcast:send " + "a;" * 500_000 + "a\r\n",
    "fmtp": HEAD + "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=fmtp:96 " + "a=1;" * 250_000 + "\r\n",
    "max-message-size": HEAD + "m=application 9 UDP/DTLS/SCTP x\r\na=max-message-size:" + "9" * 1_000_000,
    "nothing": "\n" * 1_000_000,
    "lines": HEAD + "a=\n" * 300_000,
}


def section(number: int, lines: list[str], codecs: int) -> str:
    """One video section that is fine but for its length."""
    types = range(96, 96 + codecs)
    body = [
        f"m=video 9 UDP/TLS/RTP/SAVPF {' '.join(map(str, types))}",
        f"a=mid:{number}",
        "a=rtcp-mux",
        *[f"a=rtpmap:{t} VP8/90000" for t in types],
        *lines,
    ]
    return "\r\n".join(body) + "\r\n"


def bomb(
    at_session: list[str],
    in_section: Callable[[int], list[str]],
    sections: int,
    codecs: int = 1,
    bundle: bool = True,
) -> str:
    """A description with these lines, cut at what is read at all."""
    group = "a=group:BUNDLE " + " ".join(map(str, range(sections))) + "\r\n" if bundle else ""
    text = HEAD + group + CREDENTIALS + "".join(line + "\r\n" for line in at_session)
    return text + "".join(section(i, in_section(i), codecs) for i in range(sections))


def applied(text: str) -> bool:
    """Apply and answer an offer, or see it refused; whether it was applied."""
    peer = Peer("b")
    try:
        peer.engine.commit(peer.engine.plan_remote(SdpType.OFFER, text))
    except RtcPeerError:
        return False
    peer.engine.commit(peer.engine.plan_answer())
    peer.engine.commit(peer.engine.plan_local())
    return True


def check(text: str, *, memory: bool = False) -> tuple[int, bool]:
    """The work of a description, which is within bounds."""
    text = text[:MAX_LENGTH]
    with Work() as work:
        taken = applied(text)
    assert work.calls < (CALLS_MAX if taken else CALLS_OF_A_REFUSAL)
    if not memory:
        return work.calls, taken
    tracemalloc.start()
    try:
        applied(text)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < BYTES_MAX
    return work.calls, taken


def filled(kind: str, place: str, sections: int, lines: int) -> str:
    """As many lines of a kind at a place."""
    write = LINES[kind]
    if place == "session":
        return bomb([write(n) for n in range(lines)], lambda _i: [], sections)
    each = lines // sections
    return bomb([], lambda i: [write(i * each + n) for n in range(each)], sections)


@pytest.mark.parametrize(("kind", "place"), PLACES)
def test_a_megabyte_of_one_kind_of_line(kind: str, place: str) -> None:
    lines = MAX_LENGTH // (len(LINES[kind](1000)) + 3)
    check(filled(kind, place, 1, lines))
    check(filled(kind, place, MAX_SECTIONS, min(lines, MAX_LINES - 6 * MAX_SECTIONS)), memory=True)


@pytest.mark.parametrize("kind", ONE_LINE)
def test_a_megabyte_in_one_line(kind: str) -> None:
    calls, _ = check(ONE_LINE[kind], memory=True)
    assert calls < 5000 or kind == "lines"


@pytest.mark.parametrize(("kind", "place"), [p for p in PLACES if p[0] not in ("bundle", "mid")])
def test_work_is_linear(kind: str, place: str) -> None:
    """Twice as many lines, or sections, are twice the work at most."""
    lines = min(LIMITS.get(kind.rpartition(" ")[2], (256, 256))[place == "section"], 256)
    some, _ = check(filled(kind, place, 16, lines // 2))
    more, _ = check(filled(kind, place, 16, lines))
    assert more < 2.2 * some + 2000
    many, _ = check(filled(kind, place, 32, lines))
    assert many < 2.2 * more + 2000


@pytest.mark.parametrize("bundle", [True, False])
def test_the_work_of_sections_is_linear(bundle: bool) -> None:
    half, _ = check(bomb([], lambda _i: [], MAX_SECTIONS // 2, codecs=20))
    whole, taken = check(bomb([], lambda _i: [], MAX_SECTIONS, codecs=20))
    assert taken
    assert whole < 2.2 * half
    unbundled, taken = check(bomb([], lambda _i: [], MAX_SECTIONS, bundle=False))
    assert not taken
    over, taken = check(bomb([], lambda _i: [], MAX_SECTIONS + 1))
    assert not taken
    assert over < 1000 < unbundled


def test_a_later_offer_and_an_answer_are_linear_too() -> None:
    counts = {}
    for sections in (32, 64):
        a, b = pair()
        for _ in range(sections):
            a.track("video", "s")
        with Work() as work:
            b.remote(SdpType.OFFER, a.local())
            a.remote(SdpType.ANSWER, b.local())
            b.remote(SdpType.OFFER, a.local())
            a.remote(SdpType.ANSWER, b.local())
            a.carry_out(a.engine.operations.plan_stop(0))
            b.remote(SdpType.OFFER, a.local())
            b.remote(SdpType.ROLLBACK, "")
        counts[sections] = work.calls
    assert counts[64] < 2.2 * counts[32]


async def test_a_whole_connection_takes_the_largest_description() -> None:
    for sections in (1, MAX_SECTIONS):  # the first one imports what a connection needs, which is work too
        text = bomb([], lambda i: [f"a=msid:s t{i}", f"a=ssrc:{i + 1} cname:x"], sections)
        async with RTCPeerConnection() as pc:
            with Work() as work:
                await pc.setRemoteDescription({"type": "offer", "sdp": text})
                await pc.setLocalDescription()
            assert len(pc.getTransceivers()) == sections
        assert work.calls < CALLS_MAX


async def test_candidates_that_come_one_by_one_cost_the_same_each() -> None:
    """addIceCandidate is linear, with any number of candidates before, and after what is kept of them."""
    async with RTCPeerConnection() as a, RTCPeerConnection() as b:
        a.createDataChannel("x")
        await a.setLocalDescription()
        await b.setRemoteDescription(a.localDescription)
        await b.setLocalDescription()
        await a.setRemoteDescription(b.localDescription)
        counts = []
        for hundred in range(12):
            with Work() as work:
                for n in range(hundred * 100, hundred * 100 + 100):
                    line = f"candidate:{n} 1 udp {n + 1} 203.0.{n // 250}.{n % 250 + 1} 9 typ host"
                    await a.addIceCandidate({"candidate": line, "sdpMid": "0"})
            counts.append(work.calls)
        assert max(counts[1:]) < 1.5 * counts[1]
        assert len(a.sctp.transport.iceTransport.getRemoteCandidates()) <= 1000
        assert a.remoteDescription.sdp.count("a=candidate") <= 500 + b.localDescription.sdp.count(
            "a=candidate"
        )


def random_bomb(rng: random.Random) -> str:
    """Any mixture, in any place, within what a text may hold."""
    kinds = rng.sample(list(LINES), rng.randint(1, 4))
    lines = int(10 ** rng.uniform(1, 4.3))
    sections = rng.choice([1, 2, 10, 60, 64, 65, MAX_SECTIONS, MAX_SECTIONS + 1])
    at_session = [LINES[rng.choice(kinds)](n) for n in range(rng.choice([0, 10, lines]))]
    each = rng.choice([0, 1, max(1, lines // sections)])
    return bomb(
        at_session,
        lambda i: [LINES[rng.choice(kinds)](i * each + n) for n in range(each)],
        sections,
        codecs=rng.choice([1, 2, 32]),
        bundle=rng.random() < 0.7,
    )


def test_a_corpus_of_random_bombs() -> None:
    rng = random.Random(20261130)
    taken = 0
    for _ in range(CASES):
        taken += check(random_bomb(rng), memory=True)[1]
    assert 0 < taken < CASES


def test_everything_after_a_bomb_is_as_before() -> None:
    peer = Peer("b")
    before = peer.state
    for text in ONE_LINE.values():
        with suppress(RtcPeerError):
            peer.engine.plan_remote(SdpType.OFFER, text)
        assert peer.state is before

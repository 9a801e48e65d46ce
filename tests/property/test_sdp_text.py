"""text -> model -> text, and mutated descriptions: nothing but the documented errors, in bounded time."""

# ruff: noqa: PT017 - what a refusal says is part of the property

from __future__ import annotations

import os
import random
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtcpeer.errors import InvalidAccessError, OperationError, RTCError
from rtcpeer.sdp.text import parse_untrusted, write
from rtcpeer.values import SdpType
from tests.unit.jsep.support import Peer, pair

# how many mutated descriptions: half of RTCPEER_FUZZ_CASES
CASES = int(os.environ.get("RTCPEER_FUZZ_CASES", "20000")) // 2
# A description of a few kilobytes, its model and its plan; a case that needs more has found a way to grow
MEMORY_BOUND = 8 << 20
MEASURED = 50  # one case in so many: measuring costs ten times the case
FIXTURES = [p.read_bytes().decode() for p in sorted(Path("tests/unit/sdp/fixtures").glob("*.sdp"))]
TOKENS = [
    "0", "1", "m=audio 0 RTP/SAVPF 0", "-1", "65536", "99999999999999999999", "", " ", ":", "/", "audio", "video",
    "application", "sendrecv",
    "a=mid:0", "a=bundle-only", "a=group:BUNDLE 0 1 2", "a=inactive", "\u00e9", "\x00", "~",
    "a=simulcast:recv a;b", "a=rid:a recv", "a=setup:holdconn", "a=ice-lite", "a=rtpmap:96 rtx/90000",
    "a=fmtp:96 apt=96",
]  # fmt: skip


def mutate(text: str, rng: random.Random) -> str:
    """One description, damaged the way that bugs and enemies damage them."""
    lines = text.split("\r\n")
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(lines))
        kind = rng.randrange(9)
        if kind == 0:
            del lines[at]
        elif kind == 1:
            lines.insert(at, lines[rng.randrange(len(lines))] if lines else "")
        elif kind == 2:
            lines[at] = lines[at][: rng.randint(0, len(lines[at]))]
        elif kind == 3:
            words = lines[at].split(" ")
            words[rng.randrange(len(words))] = rng.choice(TOKENS)
            lines[at] = " ".join(words)
        elif kind == 4:
            other = rng.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
        elif kind == 5:
            lines.insert(at, rng.choice(TOKENS))
        elif kind == 6 and lines[at]:
            place = rng.randrange(len(lines[at]))
            lines[at] = (
                lines[at][:place]
                + chr(rng.choice([0, 9, 32, 47, 58, 61, 65, 255, 0x2028]))
                + lines[at][place + 1 :]
            )
        elif kind == 7:
            name = lines[at].partition(":")[0]
            lines[at] = f"{name}:{rng.choice(TOKENS)}"
        else:
            lines = lines[:at]
        if not lines:
            lines = [""]
    return "\r\n".join(lines)


def test_text_model_text() -> None:
    for text in FIXTURES:
        session = parse_untrusted(text)
        assert parse_untrusted(write(session)) == session


@settings(max_examples=300)
@given(st.integers(0, 2**32), st.sampled_from(range(len(FIXTURES))))
def test_what_is_accepted_survives(seed: int, which: int) -> None:
    text = mutate(FIXTURES[which], random.Random(seed))
    try:
        session = parse_untrusted(text)
    except RTCError as error:
        assert error.sdpLineNumber is not None
        assert 1 <= error.sdpLineNumber <= text.count("\n") + 1
        return
    again = parse_untrusted(write(session))
    assert again == session


@settings(max_examples=300)
@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    for candidate in (text, "v=0\r\no=- 1 1 IN IP4 0\r\ns=-\r\nt=0 0\r\n" + text):
        try:
            parse_untrusted(candidate)
        except RTCError as error:
            assert error.errorDetail == "sdp-syntax-error"


def corpus(seed: int, count: int) -> None:
    """Mutated offers and answers against engines in the middle of a session."""
    rng = random.Random(seed)
    a, b = pair()
    a.track("audio", "s")
    a.track("video", "s")
    a.want_data()
    answer_text = ""
    b.remote(SdpType.OFFER, a.local())
    answer_text = b.local()
    offer_text = a.state.local_description.text if a.state.local_description else ""
    fresh, stable = Peer("f"), Peer("g")
    stable.remote(SdpType.OFFER, offer_text)
    stable.local()
    longest = 0.0
    for number in range(count):
        case = rng.randrange(3)
        peer, type_, source = (
            (fresh, SdpType.OFFER, rng.choice(FIXTURES)),
            (a, SdpType.ANSWER, answer_text),
            (stable, SdpType.OFFER, offer_text),
        )[case]
        text = mutate(source, rng)
        before = peer.state
        if number % MEASURED == 0:
            tracemalloc.start()
        began = time.thread_time()
        try:
            plan = peer.engine.plan_remote(type_, text)
        except (RTCError, InvalidAccessError, OperationError):
            assert peer.state is before
        else:
            if type_ is SdpType.OFFER and rng.random() < 0.3:
                answered(peer, plan)
        if tracemalloc.is_tracing():
            assert tracemalloc.get_traced_memory()[1] < MEMORY_BOUND
            tracemalloc.stop()
        else:
            longest = max(longest, time.thread_time() - began)
        assert peer.state is before
    assert longest < 0.25


def answered(peer: Peer, plan) -> None:  # type: ignore[no-untyped-def]
    """What was accepted can be answered, and rolled back."""
    before = peer.engine.state
    try:
        peer.engine.commit(plan)
        kept = peer.engine.state
        local = peer.engine.plan_local()
        parse_untrusted(local.text or local.next.current_local.text)  # type: ignore[union-attr]
        peer.engine.commit(local)
        again = peer.engine.plan_local()
        peer.engine.commit(again)
        peer.engine.commit(peer.engine.plan_local(SdpType.ROLLBACK))
        peer.engine._holder.state = kept
        peer.engine.commit(peer.engine.plan_remote(SdpType.ROLLBACK, ""))
    finally:
        peer.engine._holder.state = before


@pytest.mark.timeout(1200)
def test_a_fuzzing_corpus() -> None:
    corpus(20261121, CASES)

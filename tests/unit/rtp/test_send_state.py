"""The state that each packet asks for when it leaves, as the helper in C reads it from memory."""

from __future__ import annotations

import ctypes
import gc
import math
import weakref

import pytest

from rtcpeer.rtp.send_state import IDENTIFIER, NUMBER, SENT_AT, SENT_BYTES, SENT_SIZE, SESSION, SendState


def test_the_places_that_the_helper_reads():
    """fan_out.c: state_record."""
    assert (SESSION, IDENTIFIER, NUMBER, SENT_AT, SENT_BYTES) == (0, 1, 2, 3, 4)
    words = SendState().words
    assert words.itemsize == 8
    assert len(words) == 5


def test_at_first_nothing_is_in_the_way_of_a_packet_and_none_is_numbered():
    state = SendState()
    assert state.budget.tolist() == [math.inf]
    assert [state.words[at] for at in (SESSION, IDENTIFIER, SENT_AT, SENT_BYTES)] == [0, 0, 0, 0]


def test_what_is_remembered_lies_where_it_says():
    state = SendState()
    state.remember()
    assert len(state.sent_at) == len(state.sent_bytes) == SENT_SIZE
    assert not any(state.sent_at)
    assert not any(state.sent_bytes)
    times = (ctypes.c_double * SENT_SIZE).from_address(state.words[SENT_AT])
    sizes = (ctypes.c_uint16 * SENT_SIZE).from_address(state.words[SENT_BYTES])
    times[SENT_SIZE - 1], sizes[3] = 1.5, 1200
    assert state.sent_at[SENT_SIZE - 1] == 1.5
    assert state.sent_bytes[3] == 1200


def test_a_number_has_its_place_across_the_wrap():
    """16-bit numbers are laid out modulo the size."""
    assert 0x10000 % SENT_SIZE == 0


def test_numbering_that_goes_on_forgets_nothing():
    state = SendState()
    state.remember()
    state.sent_at[7], addresses = 2.0, state.words.tolist()
    state.remember()
    assert state.sent_at[7] == 2.0
    assert state.words.tolist() == addresses


@pytest.mark.parametrize("name", ["words", "budget", "sent_at", "sent_bytes"])
def test_what_has_an_address_does_not_move(name):
    state = SendState()
    state.remember()
    with pytest.raises(BufferError):
        getattr(state, name).append(0)


class Session:
    """Frees its memory when it goes."""


def test_a_session_lives_while_packets_may_be_protected_with_it():
    state, session = SendState(), Session()
    lives = weakref.ref(session)
    state.open(4096, session)
    del session
    gc.collect()
    assert state.words[SESSION] == 4096
    assert lives() is not None
    state.shut()
    gc.collect()
    assert state.words[SESSION] == 0
    assert lives() is None

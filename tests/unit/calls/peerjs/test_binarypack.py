"""BinaryPack: what was packed is read again, and nonsense is refused."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcpeer.calls.peerjs.binarypack import pack, unpack_untrusted

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=40)
    | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=5), inner, max_size=20),
    max_leaves=20,
)


@given(VALUES)
def test_there_and_back(value):
    assert unpack_untrusted(pack(value)) == value


@given(st.binary(max_size=60))
def test_nonsense_is_refused(data):
    with contextlib.suppress(ValueError):
        assert pack(unpack_untrusted(data))  # what is read can be written


@pytest.mark.parametrize(
    "data", [b"", b"\xdd\xff\xff\xff\xff", b"\xc4", b"\x91" * 100, b"\xdf\x7f\xff\xff\xff\xb0"]
)
def test_bombs(data):
    with pytest.raises(ValueError):
        unpack_untrusted(data)


def test_long_values_and_what_there_is_not():
    for value in ("x" * 70_000, b"y" * 70_000, list(range(70_000)), "ü" * 9):
        assert unpack_untrusted(pack(value)) == value
    with pytest.raises(TypeError, match="no object"):
        pack(object())
    with pytest.raises(OverflowError):
        pack(2**64)

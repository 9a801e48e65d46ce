from __future__ import annotations

import hashlib
import hmac

import pytest

from rtcpeer.sctp.handshake import read_cookie_untrusted, write_cookie
from rtcpeer.sctp.packets import Init

INIT = Init(7, 1000, 2, 3, 4, True, False)


@pytest.mark.parametrize(
    "init",
    [
        INIT,
        Init(2**32 - 1, 2**32 - 1, 65535, 65535, 2**32 - 1, False, True),
        Init(1, 0, 1, 1, 0, False, False),
    ],
)
def test_a_cookie_holds_all_that_the_association_needs(init):
    """RFC 9260 section 5.1.3: nothing is kept until it comes back."""
    read = read_cookie_untrusted(b"secret", write_cookie(b"secret", init))
    assert read == init
    assert (type(read.forward_tsn), type(read.reconfig)) == (bool, bool)


def test_every_bit_of_a_cookie_is_authenticated():
    """RFC 9260 section 5.1.3: a message authentication code over all of it, of 128 bits."""
    cookie = write_cookie(b"secret", INIT)
    fields, code = cookie[:-16], cookie[-16:]
    assert code == hmac.digest(b"secret", fields, hashlib.sha256)[:16]

    for at in range(len(cookie)):
        wrong = bytearray(cookie)
        wrong[at] ^= 1
        with pytest.raises(ValueError, match="not ours"):
            read_cookie_untrusted(b"secret", bytes(wrong))


@pytest.mark.parametrize("size", [0, 1, 17, 18, 19, 33])
def test_a_cookie_that_is_cut_off_is_refused(size):
    cookie = write_cookie(b"secret", INIT)
    assert len(cookie) == 34
    with pytest.raises(ValueError, match="not ours"):
        read_cookie_untrusted(b"secret", cookie[:size])


def test_a_cookie_that_is_longer_or_anothers_is_refused():
    cookie = write_cookie(b"secret", INIT)
    for secret, wrong in ((b"secret", cookie + b"x"), (b"other", cookie)):
        with pytest.raises(ValueError, match="not ours"):
            read_cookie_untrusted(secret, wrong)


@pytest.mark.parametrize("size", [0, 1, 17])
def test_the_code_of_no_fields_makes_no_cookie(size):
    """Whoever cuts the fields off as well would need a code of ours over fewer bytes."""
    fields = write_cookie(b"secret", INIT)[:size]
    code = hmac.digest(b"secret", fields, hashlib.sha256)[:16]
    with pytest.raises(ValueError, match="not ours"):
        read_cookie_untrusted(b"secret", fields + code)

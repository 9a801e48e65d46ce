"""Pure at run time too: what a floor must not know is not even loaded when it is."""

from __future__ import annotations

import subprocess
import sys

import pytest

CLOCKS_AND_LOOPS = {"asyncio", "socket", "random", "secrets", "uuid", "logging"}
MEDIA = {"av", "aiortc", "OpenSSL", "pylibsrtp"}


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("rtcpeer", CLOCKS_AND_LOOPS | MEDIA),
        ("rtcpeer.errors", CLOCKS_AND_LOOPS | MEDIA),
        ("rtcpeer.jsep.engine", CLOCKS_AND_LOOPS | MEDIA),
        ("rtcpeer.sdp.text", CLOCKS_AND_LOOPS | MEDIA),
        ("rtcpeer.config.configuration", {"asyncio"} | MEDIA),
        ("rtcpeer.ice.agent.agent", MEDIA - {"OpenSSL"}),  # stuns: over UDP is DTLS (RFC 7350)
        ("rtcpeer.sctp.association", CLOCKS_AND_LOOPS | MEDIA),
        ("rtcpeer.supervisor.policy", {"asyncio"} | MEDIA),
    ],
)
def test_importing_loads_nothing_it_must_not_know(module, forbidden):
    code = f"import sys, {module}; print(' '.join(sorted(set(sys.modules) & {forbidden!r})))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


def test_every_public_name_can_be_imported():
    import rtcpeer

    assert all(getattr(rtcpeer, name) is not None for name in rtcpeer.__all__)
    assert set(rtcpeer.__all__) <= set(dir(rtcpeer))


def test_an_unknown_name_is_an_attribute_error():
    import rtcpeer

    with pytest.raises(AttributeError, match="no attribute 'RTCNothing'"):
        _ = rtcpeer.RTCNothing

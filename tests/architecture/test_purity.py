"""Pure at run time too: what a floor must not know is not even loaded when it is."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# The modules of pure packages that are not pure, and why; every other one is named in an import contract.
SHELLS = {
    "rtcpeer.ice.agent": "the asyncio shell around the core",
    "rtcpeer.sctp.transport": "the asyncio shell around the association",
    "rtcpeer.rtp.audio_level": "reads frames of libav",
    "rtcpeer.rtp.congestion.pacing": "waits",
    "rtcpeer.rtp.congestion.prober": "waits",
    "rtcpeer.rtp.congestion.receiving": "waits",
    "rtcpeer.rtp.congestion.sending": "waits",
    "rtcpeer.rtp.build_helper": "runs a compiler",
    "rtcpeer.rtp.fan_out": "code in C",
    "rtcpeer.rtp.inbound": "counts frames of libav",
    "rtcpeer.rtp.libsrtp": "the buffers of libsrtp",
    "rtcpeer.rtp.outbound": "draws the first sequence number",
    "rtcpeer.rtp.playout": "waits",
    "rtcpeer.rtp.rtcp": "aiortc's RTCP packets",
    "rtcpeer.rtp.session": "one transport's timers and keys",
    "rtcpeer.rtp.srtp": "libsrtp",
}
PURE = ("rtcpeer.stun", "rtcpeer.turn", "rtcpeer.ice", "rtcpeer.jsep", "rtcpeer.sctp", "rtcpeer.rtp")

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


def covered(module: str, names: set[str]) -> bool:
    """Whether a module, or a package that it is in, is one of these."""
    parts = module.split(".")
    return any(".".join(parts[:count]) in names for count in range(1, len(parts) + 1))


def test_purity_goes_by_package_and_no_new_module_slips_through():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    pure = {name for one in contracts if one["name"].endswith("pure") for name in one["source_modules"]}
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for package in PURE
        for path in ROOT.joinpath(*package.split(".")).rglob("*.py")
        if path.name != "__init__.py"
    }
    assert {module for module in modules if not covered(module, pure | set(SHELLS))} == set()
    assert {name for name in SHELLS if not any(covered(module, {name}) for module in modules)} == set()
    assert {module for module in modules if covered(module, pure) and covered(module, set(SHELLS))} == set()

"""Against pion 3.1 (Debian's golang-github-pion-webrtc.v3-dev), which is compiled from source on first use.

Its peer encodes nothing: it gives back the packets it receives, so what we see is what we sent.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.interop.remote import missing
from tests.interop.stacks import Scenarios, both_offer

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

SOURCE = Path("/usr/share/gocode/src/github.com/pion/webrtc")
HERE = Path(__file__).parent


@pytest.fixture(scope="module", autouse=True)
def program(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Compile it, offline, from Debian's sources; Go's own cache makes the second time quick."""
    if not shutil.which("go") or not SOURCE.exists():
        missing("pion is not installed (Debian: apt-get install golang-go golang-github-pion-webrtc.v3-dev)")
    target = tmp_path_factory.mktemp("pion") / "pion_peer"
    env = {**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode"}
    env.setdefault("GOCACHE", str(Path.home() / ".cache" / "go-build"))
    subprocess.run(["go", "build", "-o", str(target), str(HERE / "pion_peer.go")], env=env, check=True)
    TestPion.command = (str(target),)


class TestPion(Scenarios):
    largest = 65_535

    @both_offer
    async def test_an_ice_lite_peer(self, by: str) -> None:
        """It only answers checks: we control, whoever offers, and nominate."""
        async with self.call(lite=True) as call:
            channel = call.pc.createDataChannel("echo")
            await call.peer.do("channel", label="theirs")
            descriptions = await call.negotiate(by)
            assert "a=ice-lite" in descriptions[by == "us"]
            await call.up()
            await channel.opened(20)
            assert call.pc.sctp.transport.iceTransport.role == "controlling"
            await self._echo(call, channel)
            await call.negotiate(by, restart=True)
            await self._echo(call, channel)
            assert call.states == ["connecting", "connected"]

"""Agents in pairs, with a listener that writes everything down and trickles to the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from rtcpeer.config.servers import IceServerEntry, parse_server_url
from rtcpeer.ice.agent.agent import IceAgent, IceCandidateError, SelectedPair, new_credentials
from rtcpeer.ice.settings import IceSettings
from rtcpeer.net.network import Network
from rtcpeer.values import Candidate, IceGatheringState, IceRole, IceTransportState


def entry(url: str, username: str | None = None, credential: str | None = None) -> IceServerEntry:
    return IceServerEntry(url=parse_server_url(url), username=username, credential=credential)


class Recorder:
    """A listener."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.log: list[tuple[float, str, Any]] = []
        self.peer: IceAgent | None = None
        self.trickle: Callable[[Candidate], bool] = lambda _: True
        self.connected = asyncio.Event()
        self.gathered = asyncio.Event()

    def _note(self, kind: str, value: Any = None) -> None:
        self.log.append((self.loop.time(), kind, value))

    def of(self, kind: str) -> list[Any]:
        return [value for _, k, value in self.log if k == kind]

    def on_candidate(self, candidate: Candidate) -> None:
        self._note("candidate", candidate)
        if self.peer is not None and self.trickle(candidate):
            self.peer.add_remote_candidate(candidate)

    def on_gathering_state(self, state: IceGatheringState) -> None:
        self._note("gathering", state)
        if state is IceGatheringState.COMPLETE:
            self.gathered.set()
            if self.peer is not None:
                self.peer.end_of_remote_candidates(None)

    def on_candidate_error(self, error: IceCandidateError) -> None:
        self._note("error", error)

    def on_state(self, state: IceTransportState) -> None:
        self._note("state", state)
        if state in (IceTransportState.CONNECTED, IceTransportState.COMPLETED):
            self.connected.set()

    def on_wake(self) -> None:
        self._note("wake")

    def on_selected_pair(self, pair: SelectedPair) -> None:
        self._note("pair", pair)

    def on_role(self, role: IceRole) -> None:
        self._note("role", role)

    def on_network_change(self) -> None:
        self._note("network")


class Two:
    """Two agents, signalling instantly."""

    def __init__(
        self,
        left_network: Network,
        right_network: Network | None = None,
        settings: IceSettings | None = None,
        right_settings: IceSettings | None = None,
    ) -> None:
        settings = settings or IceSettings()
        self.left_log, self.right_log = Recorder(), Recorder()
        self.left = IceAgent(left_network, settings, IceRole.CONTROLLING, self.left_log, name="left")
        self.right = IceAgent(
            right_network or left_network,
            right_settings or settings,
            IceRole.CONTROLLED,
            self.right_log,
            name="right",
        )
        self.left_log.peer, self.right_log.peer = self.right, self.left
        self.left_data: list[bytes] = []
        self.right_data: list[bytes] = []
        self.left.receiver, self.right.receiver = self.left_data.append, self.right_data.append

    def start(self) -> None:
        """Offer and answer; a second time it is a restart."""
        offer, answer = new_credentials(), new_credentials()
        self.left.start_generation(offer)
        self.right.start_generation(answer)
        self.right.set_remote_parameters(offer)
        self.left.set_remote_parameters(answer)

    async def connect(self, timeout: float = 20) -> Two:
        self.start()
        await asyncio.wait_for(
            asyncio.gather(self.left_log.connected.wait(), self.right_log.connected.wait()), timeout
        )
        return self

    async def exchange(self) -> None:
        """Both ways, after letting channels settle."""
        self.left.send(b"\x80to the right")
        self.right.send(b"\x80to the left")
        await asyncio.sleep(0.5)
        assert self.right_data[-1:] == [b"\x80to the right"]
        assert self.left_data[-1:] == [b"\x80to the left"]

    async def close(self) -> None:
        first, second = self.left.close(), self.right.close()
        await first
        await second

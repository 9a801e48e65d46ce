"""Peers in a process of their own: commands as JSON lines on standard input, events on standard output.

Each names its peer by a number; a process may have several, for starting one takes longer than all that a peer does.

Times are ``time.monotonic()``, which all processes of a machine share.
"""

import asyncio
import contextlib
import json
import ssl
import sys
import time

from rtcpeer import RTCPeerConnection
from rtcpeer.ice.settings import IceSettings
from rtcpeer.peer.settings import PeerSettings


class Agent:
    def __init__(self, peer):
        self.peer = peer
        self.pc = self.channel = None
        self.sending = None
        self.held = None

    def tell(self, event, **data):
        told = {"event": event, "time": time.monotonic(), "peer": self.peer, **data}
        print(json.dumps(told), flush=True)

    async def start(self, configuration, ca=None, offerer=False, **ice):
        context = None
        if ca:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.load_verify_locations(cadata=ca)
        self.pc = pc = RTCPeerConnection(
            configuration, settings=PeerSettings(ice=IceSettings(ssl_context=context, **ice))
        )
        pc.onconnectionstatechange = lambda _: self.tell("state", state=pc.connectionState)
        pc.onicecandidate = self.on_candidate
        pc.onicecandidateerror = lambda e: self.tell(
            "error", code=e.errorCode, url=e.url, address=e.address, text=e.errorText
        )
        pc.onnetworkchange = lambda _: self.tell("networkchange")
        pc.ondatachannel = lambda e: self.use(e.channel)
        if offerer:
            self.use(pc.createDataChannel("numbers"))
            await self.offer()

    def use(self, channel):
        self.channel = channel
        channel.onmessage = lambda e: self.tell("message", number=int(e.data))
        if channel.readyState == "open":
            self.tell("open")
        else:
            channel.onopen = lambda _: self.tell("open")

    def on_candidate(self, event):
        message = event.candidate.toJSON() if event.candidate else {"candidate": ""}
        if self.held is not None:
            self.held.append(message)
        else:
            self.tell("signal", message=message)

    async def describe(self, description=None):
        self.held = []
        await self.pc.setLocalDescription(description)
        self.tell("signal", message=self.pc.localDescription.toJSON())
        held, self.held = self.held, None
        for message in held:
            self.tell("signal", message=message)

    async def offer(self, restart=False, configuration=None):
        if configuration is not None:
            self.pc.setConfiguration(configuration)
        await self.describe(await self.pc.createOffer({"iceRestart": restart}))

    async def configure(self, configuration):
        self.pc.setConfiguration(configuration)

    async def signal(self, message):
        if "candidate" in message:
            await self.pc.addIceCandidate(message)
            return
        await self.pc.setRemoteDescription(message)
        if message["type"] == "offer":
            await self.describe()

    async def stream(self, interval):
        async def send():
            start, number = time.monotonic(), 0
            while True:
                if self.channel.readyState == "open":
                    self.tell("sent", number=number)
                    self.channel.send(str(number))
                number += 1
                await asyncio.sleep(max(0.0, start + number * interval - time.monotonic()))

        self.sending = asyncio.create_task(send())

    async def quiet(self):
        if self.sending:
            self.sending.cancel()
            await asyncio.gather(self.sending, return_exceptions=True)
            self.sending = None

    async def stats(self):
        report = await self.pc.getStats()
        pair = report[report.of_type("transport")[0]["selectedCandidatePairId"]]
        local, remote = report[pair["localCandidateId"]], report[pair["remoteCandidateId"]]
        names = ("candidateType", "address", "port", "relayProtocol")
        self.tell("stats", local={n: local.get(n) for n in names}, remote={n: remote.get(n) for n in names})

    async def close(self):
        await self.quiet()
        await self.pc.close()
        self.tell("closed")


async def main():
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 22)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    agents = [Agent(number) for number in range(int(sys.argv[1]))]
    for agent in agents:
        agent.tell("ready")
    while line := await reader.readline():
        command = json.loads(line)
        agent = agents[command.pop("peer")]
        try:
            await getattr(agent, command.pop("do"))(**command)
        except Exception as exc:
            agent.tell("failure", text=f"{type(exc).__name__}: {exc}")
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(3):
            await asyncio.gather(*(agent.close() for agent in agents if agent.pc is not None))


if __name__ == "__main__":
    asyncio.run(main())

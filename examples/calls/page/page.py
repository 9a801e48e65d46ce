"""A page in a browser and its bot, which shows the page what it gets of it: open http://localhost:8080/."""

import asyncio
import sys

from rtcpeer import run
from rtcpeer.signaling import HttpOfferServer

PAGE = """<!doctype html><title>bot</title><video id="view" autoplay playsinline></video><script type="module">
const pc = new RTCPeerConnection(), camera = await navigator.mediaDevices.getUserMedia({audio: true, video: true});
camera.getTracks().forEach((track) => pc.addTrack(track, camera));
pc.ontrack = ({streams}) => { view.srcObject = streams[0]; };
await pc.setLocalDescription();
await new Promise((done) => { pc.onicegatheringstatechange = () => pc.iceGatheringState === "complete" && done(); });
const post = {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(pc.localDescription)};
await pc.setRemoteDescription(await (await fetch("/offer", post)).json());
</script>"""


def talk(session):
    session.pc.ontrack = lambda event: session.pc.addTrack(event.track, *event.streams)


async def bot(port):
    async with HttpOfferServer(talk, port=int(port), page=PAGE) as server:
        print("open", server.url.replace("/offer", "/"))
        await asyncio.Event().wait()


if __name__ == "__main__":
    run(bot(*sys.argv[1:]))

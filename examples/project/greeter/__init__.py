"""A bot that greets: it says hello to everybody who opens a data channel, and answers in capitals."""

from rtcpeer import RTCPeerConnection
from rtcpeer.signaling import Negotiator
from rtcpeer.testing import synthetic_track


async def greeter(signaling, servers=()):
    """One call: stays until the signaling ends.

    Args:
        signaling: our end of a signaling channel: of a room, a WebSocket, or a test.
        servers: STUN and TURN servers.
    """
    async with RTCPeerConnection(iceServers=list(servers)) as pc:
        voice = synthetic_track("audio")  # in life, an AudioSource or a MediaPlayer

        @pc.on("track")
        def speak(event):
            if event.track.kind == "audio" and voice not in [sender.track for sender in pc.getSenders()]:
                pc.addTrack(voice)

        @pc.on("datachannel")
        def talk(event):
            channel = event.channel
            channel.onmessage = lambda message: channel.send(message.data.upper())
            channel.send("hello")

        try:
            await Negotiator(pc, signaling, polite=True).run()
        finally:
            voice.stop()

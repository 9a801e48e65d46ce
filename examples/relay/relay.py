"""A relay of rooms: one publisher each, a page, a program or a file, and any number of subscribers.

Nothing is decoded or encoded in between. Publishers come by WHIP, subscribers by WHEP; a page does both. Who joins gets
a key frame at once, losses are repeated from the relay's own history, and a subscriber that is slow, or goes away,
does not slow the others.
"""

import argparse
import asyncio
import contextlib
import pathlib
import signal
import tempfile

from aiohttp import web

from rtcpeer import Forwarder, MediaPlayer, MediaRecorder, MediaStream, SignalingRefused, SupervisedPeer
from rtcpeer.signaling import WhepClient, WhepServer, WhipClient, WhipServer
from rtcpeer.testing import synthetic_track

PAGE = pathlib.Path(__file__).with_name("page.html")
PICTURE = {"width": 320, "height": 240, "frameRate": 15}


class Room:
    """What its publisher sends, with one forwarder for each kind, or what a file has."""

    def __init__(self, player=None):
        self.player = player
        self.forwarders = {}
        self.stream = MediaStream()  # players look for sound and picture in one stream

    async def send(self, transceiver):
        """Send to a subscriber what there is of a kind; says whether there is any."""
        kind = transceiver.receiver.track.kind
        track = getattr(self.player, kind, None)
        if track is None and kind not in self.forwarders:
            transceiver.direction = "inactive"
            return False
        transceiver.direction = "sendonly"
        transceiver.sender.setStreams(self.stream)
        if track is not None:
            await transceiver.sender.replaceTrack(track)
        else:
            self.forwarders[kind].add(transceiver.sender)
        return True


class Relay:
    """The rooms, and what the servers do with those who come."""

    def __init__(self):
        self.rooms = {}
        self.app = web.Application()
        WhipServer(self.publish).add_to(self.app)
        WhepServer(self.subscribe).add_to(self.app)
        self.app.router.add_get("/", self.page)

    async def page(self, _request):
        """The page that publishes and watches."""
        return web.FileResponse(PAGE)

    async def publish(self, session):
        """Somebody publishes in a room."""
        if session.name in self.rooms:
            raise SignalingRefused("somebody publishes here already", status=409, retry_after=5)
        room = self.rooms[session.name] = Room()
        session.add_end_listener(lambda session: self.rooms.pop(session.name, None))
        for transceiver in await session.apply_offer():
            room.forwarders.setdefault(transceiver.receiver.track.kind, Forwarder(transceiver.receiver))
        print(f"{session.name}: published, {' and '.join(sorted(room.forwarders))}", flush=True)

    async def subscribe(self, session):
        """Somebody watches a room."""
        room = self.rooms.get(session.name)
        if room is None:
            raise SignalingRefused("nobody publishes here yet", status=409, retry_after=1)
        sent = [await room.send(transceiver) for transceiver in await session.apply_offer()]
        if not any(sent):
            raise SignalingRefused("there is nothing of these kinds", status=422)
        session.add_end_listener(lambda session: print(f"{session.name}: a subscriber left", flush=True))


@contextlib.asynccontextmanager
async def serving(relay, host, port):
    """The relay at an address; gives its URL."""
    runner = web.AppRunner(relay.app)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    try:
        yield "http://{}:{}".format(*runner.addresses[0][:2])
    finally:
        await runner.cleanup()


async def serve(options):
    """Relay until Ctrl-C."""
    relay = Relay()
    for name, path in options.file:
        relay.rooms[name] = Room(MediaPlayer(path, loop=True, decode=False))
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stopped.set)
    async with serving(relay, *options.listen) as url:
        print(f"open {url}/#ROOM to watch a room, {url}/#ROOM,publish to publish in it", flush=True)
        await stopped.wait()


# --- the same without a browser -----------------------------------------------------------------------------------


async def watch(url, room, name, pictures):
    """Somebody who watches so many pictures and leaves."""
    tracks = asyncio.Queue()
    async with SupervisedPeer(WhepClient(f"{url}/whep/{room}")) as peer:
        peer.ontrack = lambda event: tracks.put_nowait(event.track)
        for kind in ("audio", "video"):
            peer.addTransceiver(kind, {"direction": "recvonly"})
        found = {track.kind: track for track in [await tracks.get(), await tracks.get()]}
        await found["audio"].recv()
        for _ in range(pictures):
            picture = await found["video"].recv()
        print(f"{name}: sound and {pictures} pictures of {picture.width}x{picture.height}")


async def demo():
    """A room with a file and one with a publisher, and subscribers of both."""
    relay = Relay()
    tracks = [synthetic_track("audio"), synthetic_track("video", PICTURE)]
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/film.webm"
        recorder = MediaRecorder(path)
        for track in tracks:
            recorder.addTrack(track)
        await recorder.start()
        await asyncio.sleep(3)
        await recorder.stop()
        relay.rooms["film"] = Room(MediaPlayer(path, loop=True, decode=False))
        async with (
            serving(relay, "127.0.0.1", 0) as url,
            SupervisedPeer(WhipClient(f"{url}/whip/live")) as peer,
        ):
            for track in tracks:
                peer.addTrack(track)
            await peer.connected(20)
            async with asyncio.TaskGroup() as group:
                for number, room in enumerate(("film", "live", "film", "live"), 1):
                    group.create_task(watch(url, room, f"subscriber {number} of {room}", 15 * number))
    for track in tracks:
        track.stop()


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--listen", type=address, default=("127.0.0.1", 8080), metavar="HOST:PORT")
    parser.add_argument("--file", action="append", default=[], nargs=2, metavar=("ROOM", "PATH"))
    parser.add_argument("--demo", action="store_true", help="run publishers and subscribers here, and end")
    options = parser.parse_args()
    asyncio.run(demo() if options.demo else serve(options))


def address(text):
    """HOST:PORT."""
    host, _, port = text.rpartition(":")
    return host, int(port)


if __name__ == "__main__":
    main()

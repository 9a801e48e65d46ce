"""``rtcpeer demo``: two peers in one process connect, restart and lose their network; each promise is checked.

Two peers and their STUN/TURN servers in one process: a call with media and a numbered data stream, servers
replaced while it runs, ICE restarted, the old server killed, one path blacked out and given back, everything
closed and made anew. Every line is printed because it happened, every number is measured.

Owns: the order of the acts and what is promised in each.  Never: the peers; see `rtcpeer.cli.demo.party`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rtcpeer.cli.demo.numbers import NumberedStream
from rtcpeer.cli.demo.party import MESSAGE_EVERY, Party
from rtcpeer.cli.demo.timeline import Timeline
from rtcpeer.cli.files import open_file
from rtcpeer.signaling.channel import memory_pair
from rtcpeer.testing import TurnServer, synthetic_track

PICTURE = {"width": 320, "height": 240, "frameRate": 15}

# The limits of the promises: what a busy two-core machine keeps too. The summary has the real values. A gap may be
# longer by what the program itself stood still, which no path can help.
CONNECT_WITHIN = 3.0
LARGEST_GAP = 0.25
# 5 s of silence, and what the program itself stood still meanwhile: that is not taken for silence
DISCONNECTED_WITHIN = 20.0
BACK_WITHIN = 3.0
STREAM_FOR = 1.5


async def run_demo(*, media: Path | None = None, direct: bool = False, as_json: bool = False) -> int:
    """Play all acts; the exit status is 1 when a promise was broken."""
    timeline = Timeline(show=not as_json)
    try:
        tracks = open_tracks(media)
    except (OSError, ValueError) as error:
        print(f"rtcpeer: cannot play {str(media)!r}: {error}", file=sys.stderr)
        return 2
    demo = Demo(timeline, tracks, policy="all" if direct else "relay")
    try:
        await demo.play()
    except Unfinished as error:
        timeline.promise("the demo can go on", False, error)
    finally:
        await demo.close()
    timeline.finish()
    if as_json:
        print(timeline.as_json())
    return 0 if timeline.ok else 1


def open_tracks(media: Path | None) -> tuple[list[Any], list[Any]]:
    """The tracks of caller and callee: a file's if there is one, else a test picture and a tone."""
    callee = [synthetic_track("audio", {"frequency": 660}), synthetic_track("video", PICTURE)]
    if media is None:
        return [synthetic_track("audio", {}), synthetic_track("video", PICTURE)], callee
    tracks = open_file(media)
    kinds = {track.kind for track in tracks}
    return tracks, [track for track in callee if track.kind in kinds]


class Unfinished(Exception):
    """A broken promise after which the other acts make no sense."""


class Demo:
    """The acts."""

    def __init__(self, timeline: Timeline, tracks: tuple[list[Any], list[Any]], *, policy: str) -> None:
        self.timeline, self.policy = timeline, policy
        self.tracks = tracks
        self.caller = Party("caller", timeline, tracks[0])
        self.callee = Party("callee", timeline, tracks[1])
        self.both = (self.caller, self.callee)
        self.servers: list[TurnServer] = []
        self.largest_gap = 0.0
        self.sums = {"sent": 0, "received": 0, "lost": 0, "bytes": 0}
        self.frames = {"video": 0, "audio": 0}
        self.signals: Any = None

    async def play(self) -> None:
        """All acts in order."""
        tasks, sockets = asyncio.all_tasks(), open_sockets()
        await self.connect()
        await self.replace_servers()
        await self.kill_old_server()
        await self.black_out()
        await self.end_generation(remote_close_is_seen=True)
        await self.recreate()
        await self.end_generation(remote_close_is_seen=False)
        for server in self.servers:
            await server.close()
        left = [task for task in asyncio.all_tasks() - tasks if not task.done()]
        more = open_sockets() - sockets
        self.timeline.promise(
            "nothing is left",
            not left and more <= 0,
            f"{len(left)} tasks, {max(0, more)} sockets more than before",
        )
        self.sum_up()

    async def close(self) -> None:
        """Release whatever an act has left behind."""
        for party in self.both:
            if party.pc is not None:
                await party.end()
        if self.signals is not None:
            await self.signals[0].close()
        for server in self.servers:
            await server.close()
        for track in (*self.tracks[0], *self.tracks[1]):
            track.stop()

    # Act 1

    async def connect(self) -> None:
        """Two peers find each other by trickle, through the relay of the first server."""
        through = "through the relay of server 1" if self.policy == "relay" else "directly"
        self.timeline.act(f"Connect {through}, with trickle")
        await self.start_server()
        seconds = await self.call(self.policy)
        self.timeline.summary["time_to_connect_ms"] = round(seconds * 1000, 1)
        inside = self.caller.signals.candidates_inside[0]
        self.timeline.promise(
            "trickle: the offer left before there was a candidate",
            inside == 0 and self.caller.signals.candidates > 0,
            f"{inside} candidates in the offer, {self.caller.signals.candidates} after it",
        )
        self.promise_server(self.servers[0])
        await self.stream("a quiet call")

    async def call(self, policy: str) -> float:
        """Make both connections; the seconds until both are connected and the channel is open."""
        configuration = {"iceServers": self.servers[-1].ice_servers, "iceTransportPolicy": policy}
        self.signals = memory_pair()
        start = time.perf_counter()
        self.callee.begin(configuration, self.signals[1], polite=True, calls=False)
        self.caller.begin(configuration, self.signals[0], polite=False, calls=True)
        up = await self.both_until(lambda party: party.is_up, CONNECT_WITHIN * 2)
        seconds = time.perf_counter() - start
        self.timeline.promise(
            f"connected within {CONNECT_WITHIN:g} s",
            up and seconds < CONNECT_WITHIN,
            f"{seconds * 1000:.0f} ms" if up else "not at all",
        )
        if not up:
            raise Unfinished("there is no call")
        return seconds

    async def both_until(self, condition: Callable[[Party], object], timeout: float) -> bool:
        """Wait until something is true of both; False if it is not within so many seconds."""
        waiting = [party.until(functools.partial(condition, party), timeout) for party in self.both]
        return all(await asyncio.gather(*waiting))

    async def start_server(self) -> None:
        """Start another embedded STUN/TURN server; the last one is in force."""
        number = len(self.servers) + 1
        server = TurnServer(users={f"user{number}": f"password-{number}"})
        await server.start()
        self.servers.append(server)
        self.timeline.note("server", f"server {number} is up", server.turn_url)

    def promise_server(self, server: TurnServer) -> None:
        """Candidates must have come from this server, and in relay mode the path must go through it."""
        number = self.servers.index(server) + 1
        urls = {server.stun_url, server.turn_url}
        used = all(party.from_urls & urls for party in self.both)
        self.timeline.promise(
            f"both sides have candidates of server {number}",
            used,
            ", ".join(sorted(set.union(*(party.from_urls for party in self.both)))) or "none",
        )
        if self.policy == "relay":
            relays = [f"of {server.turn_url}" in party.pair for party in self.both]
            self.timeline.promise(
                f"the selected pair goes through server {number}", all(relays), f"{sum(relays)} of 2 sides"
            )

    # Act 2 and 3

    async def replace_servers(self) -> None:
        """SetConfiguration on both sides, then an ICE restart; the call must not notice."""
        self.timeline.act("Replace the servers and restart ICE, the call goes on")
        await self.start_server()
        self.mark()
        for party in self.both:
            party.from_urls.clear()
            party.pc.setConfiguration(
                {"iceServers": self.servers[-1].ice_servers, "iceTransportPolicy": self.policy}
            )
            party.timeline.note(party.name, "setConfiguration", "server 2 only")
        start = time.perf_counter()
        self.caller.pc.restartIce()
        self.timeline.note("caller", "restartIce")
        fresh = await self.both_until(lambda party: party.is_restarted, 5)
        seconds = time.perf_counter() - start
        self.timeline.promise(
            "both sides have new credentials and a new path", fresh, f"after {seconds * 1000:.0f} ms"
        )
        self.timeline.summary["ice_restart_ms"] = round(seconds * 1000, 1)
        self.promise_server(self.servers[-1])
        await self.stream("the restart")
        self.promise_unbroken()

    async def kill_old_server(self) -> None:
        """The first server dies without a word."""
        self.timeline.act("Take the old server away")
        self.mark()
        self.servers[0].kill()
        self.timeline.note("server", "server 1 is gone")
        await self.stream("the death of the old server")
        self.promise_unbroken()

    def promise_unbroken(self) -> None:
        """Promise that nothing but connected has been told since the mark."""
        told = [state for party in self.both for state in party.told_since_mark("connection", "ICE")]
        left = [state for state in told if state not in ("connected", "completed")]
        self.timeline.promise("no state ever left connected", not left, ", ".join(left) or "connected")

    # Act 4

    async def black_out(self) -> None:
        """The callee's network drops everything until both notice, then comes back."""
        self.timeline.act("Black out the callee's path until `disconnected`, then give it back")
        self.mark()
        start = time.perf_counter()
        async with self.callee.network.outage():
            self.timeline.note("callee", "outage", "every datagram is dropped")
            noticed = await self.both_until(
                lambda party: "disconnected" in party.told_since_mark("connection"), DISCONNECTED_WITHIN
            )
            seconds = time.perf_counter() - start
            self.timeline.promise("both sides notice", noticed, f"after {seconds:.1f} s")
            await asyncio.sleep(0.5)
            for party in self.both:
                party.listen_anew()
        self.timeline.note(
            "callee", "outage", f"is over, {self.callee.network.dropped} datagrams were dropped"
        )
        start = time.perf_counter()
        back = await self.both_until(lambda party: party.is_flowing, BACK_WITHIN * 2)
        seconds = time.perf_counter() - start
        self.timeline.promise(
            f"connected again by itself, messages flow, within {BACK_WITHIN:g} s",
            back and seconds < BACK_WITHIN,
            f"{seconds * 1000:.0f} ms after the path came back",
        )
        self.timeline.summary["back_after_outage_ms"] = round(seconds * 1000, 1)
        self.timeline.summary["gap_of_the_outage_ms"] = self.gap_ms()
        self.mark()
        await asyncio.sleep(STREAM_FOR)

    # Act 5

    async def end_generation(self, *, remote_close_is_seen: bool) -> None:
        """Stop counting, account for every message, close."""
        self.timeline.act("Close")
        await self.account()
        self.callee.mark()
        await self.caller.end()
        if remote_close_is_seen:
            seen = await self.callee.until(lambda: "close" in self.callee.told_since_mark("channel"), 2)
            self.timeline.promise("the other side sees the close at once", seen, "channel closed")
        await self.callee.end()
        await self.signals[0].close()

    async def account(self) -> None:
        """Every number that was sent must have arrived, once and in order."""
        for party in self.both:
            if party.numbers is not None:
                await party.numbers.stop()
        for sender, receiver in (self.both, self.both[::-1]):
            sent, heard = sender.numbers, receiver.numbers
            if sent is None or heard is None:
                continue
            await receiver.until(functools.partial(has_arrived, heard, sent.sent), 5)
            lost = sent.sent - heard.heard.received + heard.heard.misplaced
            self.timeline.promise(
                f"no message from {sender.name} to {receiver.name} was lost",
                lost == 0 and not heard.heard.misplaced,
                f"{heard.heard.received} of {sent.sent} arrived, each in its place"
                if not lost
                else f"{lost} of {sent.sent} lost",
            )
            self.sums["sent"] += sent.sent
            self.sums["received"] += heard.heard.received
            self.sums["lost"] += lost
            seen = receiver.eyes.seen
            kinds = {track.kind for track in sender.tracks}
            decoded = {"video": seen.video_frames, "audio": seen.audio_frames}
            kept = all(decoded[kind] > 0 for kind in kinds) and ("video" not in kinds or seen.luma > 20)
            self.timeline.promise(
                f"{receiver.name} decodes what {sender.name} sends, and it is not black",
                kept,
                f"{seen.video_frames} pictures, brightness {seen.luma:.0f}, {seen.audio_frames} sound frames",
            )
            for kind, count in decoded.items():
                self.frames[kind] += count
            self.sums["bytes"] += (await receiver.bytes())["received"]

    async def recreate(self) -> None:
        """A dead connection is replaced: new peers, the same tracks, this time on a direct path."""
        self.timeline.act("Recreate: new connections, the same tracks, the direct path")
        seconds = await self.call("all")
        self.timeline.summary["time_to_connect_directly_ms"] = round(seconds * 1000, 1)
        self.timeline.promise(
            "the direct path wins over the relay", "relay" not in self.caller.pair, self.caller.pair
        )
        await self.stream("the new call")

    # Measuring

    def mark(self) -> None:
        """The longest silence is counted anew."""
        for party in self.both:
            party.mark()

    def gap_ms(self) -> float:
        """The longest silence since the last mark, of both directions."""
        return max(round(p.numbers.report()["recent"] * 1000, 1) for p in self.both if p.numbers is not None)

    def stood_still_ms(self) -> float:
        """How long this program was kept from running at worst since the last mark."""
        return max(round(p.numbers.late * 1000, 1) for p in self.both if p.numbers is not None)

    async def stream(self, what: str) -> None:
        """Let the call run for a moment and look at the messages' longest silence since the last mark."""
        await asyncio.sleep(STREAM_FOR)
        gap, still = self.gap_ms(), self.stood_still_ms()
        self.largest_gap = max(self.largest_gap, gap)
        measured = f"largest gap {gap:.0f} ms"
        if gap >= LARGEST_GAP * 1000:
            measured += f", of which the program stood still for {still:.0f} ms"
        self.timeline.promise(
            f"messages flow through {what}, one every {MESSAGE_EVERY * 1000:g} ms",
            gap < LARGEST_GAP * 1000 + still,
            measured,
        )
        self.timeline.summary[f"largest_gap_in_{what.replace(' ', '_')}_ms"] = gap

    def sum_up(self) -> None:
        """The totals."""
        self.timeline.summary |= {
            "largest_gap_outside_the_outage_ms": self.largest_gap,
            "messages_sent": self.sums["sent"],
            "messages_received": self.sums["received"],
            "messages_lost": self.sums["lost"],
            "bytes_received": self.sums["bytes"],
            "pictures_decoded": self.frames["video"],
            "sound_frames_decoded": self.frames["audio"],
        }


def open_sockets() -> int:
    """How many sockets this process has open; 0 where the system does not tell."""
    try:
        names = os.listdir("/proc/self/fd")
    except OSError:
        return 0
    count = 0
    for name in names:
        with contextlib.suppress(OSError):  # the listing's own descriptor is gone already
            count += os.readlink(f"/proc/self/fd/{name}").startswith("socket:")
    return count


def has_arrived(stream: NumberedStream, count: int) -> bool:
    """Whether so many numbers have been heard."""
    return stream.heard.received >= count

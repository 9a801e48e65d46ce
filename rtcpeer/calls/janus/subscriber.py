"""The receiving half of a VideoRoom of Janus: one supervised peer for all streams of everybody.

Owns: the handle that subscribes, what it is subscribed to and what its sections are, the tracks that arrive. Never: who
is in the room (`videoroom`), what is missing and when it is asked for again (`subscriptions`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol

from rtcpeer.calls.host import MENDING, CallHost
from rtcpeer.calls.janus.channels import Stream, SubscriberChannel
from rtcpeer.calls.janus.session import JanusError, JanusHandle, JanusSession, dicts
from rtcpeer.calls.janus.subscriptions import Key, Subscriptions
from rtcpeer.calls.remote import ArrivingTracks
from rtcpeer.errors import InvalidStateError, NetworkError, RTCTimeoutError
from rtcpeer.supervisor.events import GaveUp
from rtcpeer.supervisor.peer import SupervisedPeer
from rtcpeer.supervisor.policy import PeerState

PLUGIN: Final = "janus.plugin.videoroom"
LABEL: Final = "JanusDataChannel"
_STREAMS_MAX: Final = 64
# Before a subscription whose request has failed is tried again; the last one repeats.
_RETRIES: Final = (1.0, 1.0, 2.0, 4.0, 8.0, 15.0)
# How long Janus may take to answer whether the subscription is still as we know it.
_CHECK_TIME: Final = 4.0


class Membership(Protocol):
    """The room, as far as a subscriber has to know it.

    Attributes:
        session: in which its handles are.
        room: as Janus calls it.
    """

    session: JanusSession
    room: int | str

    @property
    def host(self) -> CallHost:
        """The call."""

    @property
    def private_id(self) -> Any:
        """Janus' word that the subscriber belongs to the publisher; None if there is none."""

    @property
    def handle(self) -> JanusHandle | None:
        """The handle that has joined as publisher; None while there is none."""

    def take_data(self, data: Any) -> None:
        """Take a message of another participant."""


class Subscriber:
    """The subscriptions to all streams of everybody in a room.

    Args:
        room: in which we are, or are going to be before anything is wanted.
    """

    def __init__(self, room: Membership) -> None:
        self._room = room
        self._publications = Subscriptions()
        self._sections: Mapping[str, Stream] = {}  # by mid, as Janus has said last
        self._in_force: Mapping[str, Stream] = {}  # by mid, of the offer that was read last
        self._peer: SupervisedPeer | None = None
        self._tracks: ArrivingTracks | None = None
        self._channel: SubscriberChannel | None = None
        self._work: asyncio.Task[None] | None = None
        self._changing = asyncio.Lock()  # one change of the subscription after the other
        self._doubtful: set[str] = set()  # publishers who may have changed what they publish, unheard by us
        self._must_renew = False  # what the handle is subscribed to is not known any more
        self._dirty = asyncio.Event()
        self._closed = False

    def want(self, feed: str, streams: list[dict[str, Any]]) -> None:
        """Ask for these streams of a publisher, and for no others of it."""
        self._doubtful.discard(feed)
        told = {
            str(stream["mid"]): (str(stream.get("description") or ""), stream.get("type") != "data")
            for stream in streams[:_STREAMS_MAX]
            if "mid" in stream and not stream.get("disabled")
        }
        if not self._publications.tell(feed, told):
            return
        if not told and self._tracks is not None:
            self._tracks.end(feed)
        self._touch()

    def doubt(self, feed: str) -> None:
        """Note that a publisher may publish something else than is known by now; `look` finds out what it is."""
        if self._publications.has(feed):
            self._doubtful.add(feed)
        else:
            self.want(feed, [{"mid": ""}])  # all of it

    async def look(self) -> None:
        """Find out what the doubtful publishers publish now, and ask for it.

        Raises:
            NetworkError, RTCTimeoutError, InvalidStateError: nobody answers.
        """
        feeds = sorted(self._doubtful)
        if not feeds:
            return
        try:
            await self._list(feeds)
        except JanusError:
            # one of them has just gone, and Janus has listed nothing of the others either
            for feed in feeds:
                try:
                    await self._list([feed])
                except JanusError as error:
                    self._room.host.ignored("publisher is not shown", error)
        self._doubtful.clear()

    async def _list(self, feeds: list[str]) -> None:
        """Read what these publish, unless the room tells it meanwhile, which is newer.

        Janus lists the streams of a publisher to those alone who are there when they change, and to a subscriber. So a
        subscription to all of them is made with a handle of its own, whose offer stays unanswered.
        """
        handle = await self._room.session.attach(PLUGIN)
        try:
            streams = _said((feed, "") for feed in feeds)
            data, _ = await handle.ask({**self._subscription(), "streams": streams})
        finally:
            self._give_back(handle)
        names: dict[str, dict[str, str]] = {feed: {} for feed in feeds if feed in self._doubtful}
        for _, (feed, mid), one in _listed(data.get("streams")):
            if feed in names:
                names[feed][mid] = str(one.get("feed_description") or "")
        for feed, found in names.items():
            if self._publications.tell_media(feed, found):
                self._touch()

    def _give_back(self, handle: JanusHandle) -> None:
        if not self._closed:  # else it goes with the session, which may not answer any more
            self._room.host.spawn(handle.detach(), "give a handle back")

    def _subscription(self) -> dict[str, Any]:
        body: dict[str, Any] = {"request": "join", "ptype": "subscriber", "room": self._room.room}
        if self._room.private_id is not None:
            body["private_id"] = self._room.private_id
        return body

    async def check(self) -> None:
        """Ask Janus for an offer, since others of it may be lost; where none comes, begin with another handle.

        Each change of a subscription comes with an offer, and Janus makes no other one until that is answered, not
        even where a restart of ICE is asked for: so its offer shows that nothing was lost.
        """
        async with self._changing:
            handle = self._channel.handle if self._channel is not None else None
            if handle is None or handle.is_gone:
                return
            try:
                async with asyncio.timeout(_CHECK_TIME):
                    data, jsep = await handle.ask({"request": "configure", "restart": True})
            except (TimeoutError, JanusError):
                jsep = None
            except (NetworkError, InvalidStateError):
                return  # it is lost again: who comes back asks again
            if jsep is not None:
                self._take_event(handle, data, jsep)
                return
            self._must_renew = True
        self._touch()

    async def close(self, *, detach: bool = True) -> None:
        """End the connection; `detach`: give the handle back, which otherwise goes with the session."""
        self._closed = True
        work = self._work if self._work is not asyncio.current_task() else None
        if work is not None:
            work.cancel()
        if self._peer is not None:
            await self._peer.close()
        if work is not None:
            await asyncio.wait([work])
        if detach and self._channel is not None and self._channel.handle is not None:
            await self._channel.handle.detach()

    def _touch(self) -> None:
        self._dirty.set()
        if self._work is None:
            self._work = self._room.host.spawn(self._follow(), "subscriber", vital=True)

    async def _follow(self) -> None:
        """Bring what is subscribed to in line with what is published, one change after the other."""
        failures = 0
        while not self._closed:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._publications.next_due()):
                    await self._dirty.wait()
            self._dirty.clear()
            try:
                async with self._changing:
                    await self._update()
                failures = 0
            except (NetworkError, RTCTimeoutError, InvalidStateError) as error:
                if isinstance(error, JanusError):
                    self._room.host.ignored("subscription refused", error)
                await asyncio.sleep(_RETRIES[min(failures, len(_RETRIES) - 1)])
                failures += 1
                self._dirty.set()

    async def _update(self) -> None:
        publications, now = self._publications, self._now()
        if self._peer is None or self._peer.is_ended:
            publications.begin_handle()
            if publications.missing(now):
                await self._begin()
            return
        assert self._channel is not None
        handle = self._channel.handle
        if handle is None or self._must_renew:
            if publications.wanted(now):
                await self._renew_now()
            return
        missing, superfluous = publications.missing(now), publications.superfluous()
        if not missing and not superfluous:
            return
        try:
            await self._ask_for(handle, missing, superfluous)
        except JanusError:
            # one of them has just gone, or is not there yet, and Janus has done nothing of it all
            if superfluous:
                await self._ask_each(handle, {}, superfluous)
            for key, number in missing.items():
                await self._ask_each(handle, {key: number}, set())

    async def _ask_each(self, handle: JanusHandle, missing: dict[Key, int], superfluous: set[Key]) -> None:
        try:
            await self._ask_for(handle, missing, superfluous)
        except JanusError as error:
            self._room.host.ignored("subscription refused", error)
            self._publications.accepted({}, superfluous)  # Janus has ended it by itself
            for key in missing:
                self._publications.refused(key, self._now())

    async def _ask_for(self, handle: JanusHandle, missing: dict[Key, int], superfluous: set[Key]) -> None:
        body: dict[str, Any] = {"request": "update"}
        if missing:
            body["subscribe"] = _said(missing)
        if superfluous:
            body["unsubscribe"] = _said(superfluous)
        try:
            data, jsep = await handle.ask(body)
        except JanusError:
            raise
        except BaseException:
            self._must_renew = True  # Janus may have done it: a second time would be another section
            raise
        self._publications.accepted(missing, superfluous)
        self._take_event(handle, data, jsep)

    async def _begin(self) -> None:
        channel = self._channel = SubscriberChannel(self._renew, self._negotiated)
        peer = self._peer = self._room.host.supervise(channel)
        self._tracks = ArrivingTracks(
            peer, self._subscribe, self._room.host.track_unsubscribed, source=self._source
        )
        peer.addEventListener("statechange", self._on_state)
        peer.addEventListener("datachannel", lambda event: self._listen(event.channel))
        # Janus sends data to those alone who have opened a channel
        self._listen(peer.createDataChannel(LABEL))
        self._room.host.spawn(self._run(peer), "subscriber's connection")
        await self._renew_now()

    async def _renew(self) -> None:
        """Subscribe with another handle."""
        async with self._changing:
            await self._renew_now()

    async def _renew_now(self) -> None:
        assert self._channel is not None
        handle = await self._room.session.attach(PLUGIN)
        try:
            handle.on_event = lambda data, jsep: self._take_event(handle, data, jsep)
            handle.on_hangup = lambda reason: self._hung_up(handle, reason)
            joined, data, jsep = await self._join(handle)
        except BaseException:
            self._give_back(handle)
            raise
        self._must_renew = False
        self._publications.begin_handle()
        self._publications.accepted(joined)
        self._channel.take_over(handle)
        self._take_event(handle, data, jsep)
        self._dirty.set()  # what has come meanwhile, and what was refused

    async def _join(self, handle: JanusHandle) -> tuple[dict[Key, int], dict[str, Any], Any]:
        """Subscribe to all, or where Janus refuses that to one of them: what it is, and the answer."""
        wanted = self._publications.wanted(self._now())
        body = self._subscription()
        try:
            return wanted, *await handle.ask({**body, "streams": _said(wanted)})
        except JanusError as error:
            refusal = error
        for key, number in wanted.items():
            try:
                if len(wanted) > 1:
                    return {key: number}, *await handle.ask({**body, "streams": _said([key])})
            except JanusError as error:
                refusal = error
            self._publications.refused(key, self._now())
        raise refusal

    def _take_event(self, handle: JanusHandle, data: dict[str, Any], jsep: Any) -> None:
        if self._channel is None or handle is not self._channel.handle:
            return
        if isinstance(data.get("streams"), list):
            self._read(data["streams"])
        if jsep is not None and jsep.get("type") == "offer":
            self._channel.offer(jsep["sdp"], self._sections)

    def _read(self, streams: list[Any]) -> None:
        """Take Janus' list of what the handle is subscribed to."""
        listed = _listed(streams)
        names = {key: str(one.get("feed_description") or "") for _, key, one in listed}
        if self._publications.listed(names, self._now()):
            self._touch()
        sections, seen = {}, set()
        for mid, key, _ in listed:
            published = self._publications.find(key)
            # a section of what is not published any more will be empty soon
            number = published.number if published is not None and key not in seen else 0
            name = names[key] or (published.name if published is not None else "")
            sections[mid] = Stream(*key, name, number)
            seen.add(key)
        self._sections = sections

    def _negotiated(self, sections: Mapping[str, Stream]) -> None:
        self._in_force = sections

    def _source(self, transceiver: Any) -> int | None:
        """The publication that a section carries; None: one that is over."""
        stream = self._in_force.get(str(transceiver.mid))
        published = None if stream is None else self._publications.find((stream.feed, stream.mid))
        is_it = stream is not None and published is not None and published.number == stream.number
        return published.number if published is not None and is_it else None

    def _subscribe(self, event: Any) -> tuple[str, str] | None:
        stream = self._in_force.get(str(event.transceiver.mid))
        if stream is None:
            self._room.host.ignored("section of nobody", event.transceiver.mid)
        if stream is None or self._source(event.transceiver) is None:
            return None
        name = self._room.host.track_subscribed(stream.feed, stream.name or event.track.kind, event.track)
        return None if name is None else (stream.feed, name)

    def _listen(self, channel: Any) -> None:
        channel.addEventListener("message", lambda message: self._room.take_data(message.data))

    def _on_state(self, event: Any) -> None:
        if event.state in MENDING:
            self._room.host.reconnecting(f"subscriber {event.reason}")
        elif event.state == PeerState.CONNECTED:
            if self._channel is not None:
                self._channel.connected()
            if self._room.handle is not None:
                self._room.host.reconnected()

    def _hung_up(self, handle: JanusHandle, _reason: str) -> None:
        if self._channel is not None and handle is self._channel.handle and not self._closed:
            self._must_renew = True
            if self._peer is not None and self._peer.is_ended:
                self._dirty.set()

    async def _run(self, peer: SupervisedPeer) -> None:
        with contextlib.suppress(GaveUp, InvalidStateError):
            await peer.start()
            await peer.closed()
        await peer.close()
        if not self._closed and self._room.host.end is None and peer is self._peer:
            if self._channel is not None and self._channel.handle is not None:
                await self._channel.handle.detach()
            self._dirty.set()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _said(keys: Iterable[Key]) -> list[dict[str, Any]]:
    """Streams as the requests of the plugin name them; all of a feed by its name alone."""
    feeds = ((int(feed) if feed.isdecimal() else feed, mid) for feed, mid in sorted(keys))
    return [{"feed": feed, "mid": mid} if mid else {"feed": feed} for feed, mid in feeds]


def _listed(streams: Any) -> list[tuple[str, Key, dict[str, Any]]]:
    """The streams that Janus lists as subscribed to: the mid of the section, the stream, and all that is said of it."""
    return [
        (str(one["mid"]), (str(one["feed_id"]), str(one.get("feed_mid"))), one)
        for one in dicts(streams)
        if "mid" in one and "feed_id" in one and one.get("active") is not False
    ]

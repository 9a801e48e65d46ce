"""ICE servers whose credentials expire: fetched from a service, refreshed before they expire, shared by many.

Owns: when to fetch, what counts as an answer, what a failure means, who is told and when. Never: what a
subscriber does with new servers (that is the supervisor's business); a wall-clock reading, except to judge a
time stamp in a user name. All times are loop times.

Theory of operation. One provider serves any number of connections: there is at most one fetch under way,
whoever asks meanwhile waits for it. While somebody is subscribed, a timer refreshes; without subscribers the
provider is asleep and owns no timer. New servers reach each subscriber after a random part of `spread`, so
that a thousand connections do not restart in one loop iteration.

    idle --ask--> fetching --ok--> fresh --timer/ask--> fetching
                     |---failure--> failing (old servers stay; retried after a growing wait)
                     '---401/403--> refused (final: the polling stops)
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
import random
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, Self

from rtcpeer.aio import start_task
from rtcpeer.config.configuration import RTCIceServer
from rtcpeer.config.readers import IceServerGrant, read_ice_servers, usable_servers
from rtcpeer.config.rest import expiry_of
from rtcpeer.errors import InvalidStateError, OperationError, RtcPeerError
from rtcpeer.records import record

logger = logging.getLogger(__name__)

ProviderState = Literal["idle", "fetching", "fresh", "failing", "refused", "closed"]
Fetch = Callable[[], Any]

# HTTP answers that no repetition will change (matrix-js-sdk stops polling in the same cases)
_FATAL = (401, 403)
# waits between attempts after failures, in seconds; the last one repeats
_RETRY = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 60.0)
# the design's numbers: refresh at min(80 % of TTL, TTL - 10 min)
_REFRESH_PART = 0.8
_REFRESH_MARGIN = 600.0
# however often somebody asks for fresh servers: a failing service is not asked more often than this
_MIN_INTERVAL = 1.0
# ... and a service whose answers live too short for that is asked at a pace that slows down to this
_SLOWEST = 60.0


class IceServersUnavailable(OperationError):
    """The provider has no servers to give, or a fetch failed.

    Attributes:
        fatal: the service refused (401 or 403): there will be no further attempt.
        status: the HTTP status, when the exception of the fetch had one.
        retry_in: seconds until the next attempt; None when there is none.
        expires_in: seconds for which the old servers are still good; None when there are none or it is not
            known.
    """

    def __init__(
        self,
        message: str,
        *,
        fatal: bool = False,
        status: int | None = None,
        retry_in: float | None = None,
        expires_in: float | None = None,
    ) -> None:
        super().__init__(message, fault="network")
        self.fatal = fatal
        self.status = status
        self.retry_in = retry_in
        self.expires_in = expires_in


@record(eq=False, slots=True)
class ServersSubscription:
    """One listener of a provider; `close()` ends it."""

    provider: IceServerProvider
    on_servers: Callable[[IceServerGrant], object]
    on_error: Callable[[IceServersUnavailable], object] | None
    spread: float
    _timer: asyncio.TimerHandle | None = None
    _waiting: IceServerGrant | None = None  # what the timer will tell

    def close(self) -> None:
        """Tell nothing more. Calling twice is harmless."""
        self._cancel()
        self.provider._drop(self)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _deliver_after(self, loop: asyncio.AbstractEventLoop, delay: float, grant: IceServerGrant) -> None:
        self._waiting = grant  # an older one that still waits is not worth telling, but its time stands
        if self._timer is None:
            self._timer = loop.call_later(delay, self._deliver, loop)

    def _deliver(self, loop: asyncio.AbstractEventLoop) -> None:
        grant, self._timer, self._waiting = self._waiting, None, None
        _call(loop, self.on_servers, grant)


class IceServerProvider:
    """Servers with a time to live, from an async function of the application.

    Args:
        fetch: called without arguments; returns (or is a coroutine function that returns) an
            `IceServerGrant`, a list of servers, a mapping with "iceServers", or the JSON of one of the
            services in `readers`. An exception with the HTTP status 401 or 403 (as `.status`, `.status_code`,
            `.code` or `.response.status_code`) is final.
        ttl: time to live in seconds where the answer says none. Without any, servers are fetched once.
        timeout: how long one fetch may take.
        spread: subscribers are told of a replacement at a random time within so many seconds; by default 5 %
            of the time to live, at most 10 s.
        random_source: for jitter.
        wall_clock: seconds since 1970, to recognise REST user names that have expired already.

    Belongs to the event loop on which it is first used.
    """

    def __init__(
        self,
        fetch: Fetch,
        *,
        ttl: float | None = None,
        timeout: float = 10.0,
        spread: float | None = None,
        random_source: random.Random | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        if not callable(fetch):
            raise TypeError(f"fetch must be callable, not {type(fetch).__name__}")
        if ttl is not None and not ttl > 0:
            raise ValueError(f"ttl must be positive, not {ttl!r}")
        self._fetch = fetch
        self._ttl = ttl
        self._timeout = timeout
        self._spread = spread
        self._random = random_source or random.Random()
        self._wall_clock = wall_clock
        self._state: ProviderState = "idle"
        self._grant: IceServerGrant | None = None  # the newest good answer
        self._expires_at: float | None = None  # loop time; None: never, or not known
        self._error: IceServersUnavailable | None = None  # of the last fetch; None after a good one
        self._failures = 0  # in a row
        self._short_lives = 0  # answers in a row that were to be replaced within the shortest interval
        self._dropped: tuple[str, ...] = ()  # what was reported of the newest answer
        self._started_at = -math.inf  # loop time at which the last fetch began
        self._task: asyncio.Task[None] | None = None  # the one fetch under way
        self._timer: asyncio.TimerHandle | None = None  # the next refresh or retry
        self._loop: asyncio.AbstractEventLoop | None = None
        self._subscriptions: set[ServersSubscription] = set()

    def __repr__(self) -> str:
        count = len(self._grant.servers) if self._grant else 0
        return f"<IceServerProvider {self._state}, {count} servers, {len(self._subscriptions)} subscribers>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def state(self) -> ProviderState:
        """The state of the provider, by the diagram at the head of the module."""
        return self._state

    @property
    def current(self) -> IceServerGrant | None:
        """The newest good answer, expired or not."""
        return self._grant

    @property
    def last_error(self) -> IceServersUnavailable | None:
        """The exception of the last fetch; None when it succeeded."""
        return self._error

    @property
    def expires_in(self) -> float | None:
        """Seconds for which the current servers are good; negative when expired, None when not known."""
        if self._expires_at is None or self._loop is None:
            return None
        return self._expires_at - self._loop.time()

    async def servers(self, *, fresh: bool = False) -> list[RTCIceServer]:
        """The servers for a new connection: those at hand while they are good, else freshly fetched ones.

        A fetch that is under way is shared. When it fails, the old servers are returned if there are any: a
        TURN server that refuses them says so itself, and direct paths need none.

        Raises:
            IceServersUnavailable: there are none.
            InvalidStateError: the provider is closed.
        """
        self._bind()
        rested = self._now() >= self._started_at + _MIN_INTERVAL
        wanted = self._grant is None or ((fresh or not self._is_good()) and rested)
        if (
            (wanted or (self._task is not None and not self._is_good()))
            and self._state != "refused"
            and not self._has_just_failed()
        ):
            # wait, not await: a waiter that is cancelled must not take the fetch from the others
            await asyncio.wait([self._start()])
            if self._state == "closed":
                raise InvalidStateError("the provider was closed")
        if self._grant is None:
            raise self._error or IceServersUnavailable("there are no ICE servers")
        return list(self._grant.servers)

    def subscribe(
        self,
        on_servers: Callable[[IceServerGrant], object],
        on_error: Callable[[IceServersUnavailable], object] | None = None,
        *,
        spread: float | None = None,
    ) -> ServersSubscription:
        """Be told of every replacement, and keep the provider polling.

        Args:
            on_servers: called with a grant that differs from the one before; not with the one at hand now.
            on_error: called when a fetch failed; `.fatal` tells whether the polling has stopped.
            spread: see the class.

        Raises:
            InvalidStateError: the provider is closed.
        """
        self._bind()
        subscription = ServersSubscription(self, on_servers, on_error, -1.0 if spread is None else spread)
        self._subscriptions.add(subscription)
        if self._timer is None and self._task is None and self._state != "refused":
            self._plan()
        return subscription

    def refresh(self) -> None:
        """Fetch, because a server refused the credentials: now, or a second after the last fetch began.

        Nothing happens after a 401 or 403 of the service, or while a fetch is under way.
        """
        self._bind()
        if self._state == "refused" or self._task is not None:
            return
        wait = self._started_at + _MIN_INTERVAL - self._now()
        if wait <= 0:
            self._start()
        else:
            self._set_timer(wait)

    async def close(self) -> None:
        """Stop polling and forget the subscribers. Idempotent; nothing is left when it returns."""
        self._state = "closed"
        self._cancel_timer()
        for subscription in tuple(self._subscriptions):
            subscription.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _drop(self, subscription: ServersSubscription) -> None:
        self._subscriptions.discard(subscription)
        if not self._subscriptions:
            self._cancel_timer()

    def _bind(self) -> None:
        if self._state == "closed":
            raise InvalidStateError("the provider is closed")
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise InvalidStateError("the provider belongs to another event loop")

    def _now(self) -> float:
        assert self._loop is not None
        return self._loop.time()

    def _has_just_failed(self) -> bool:
        return self._state == "failing" and self._now() < self._started_at + _MIN_INTERVAL

    def _is_good(self) -> bool:
        left = self.expires_in
        return self._grant is not None and (left is None or left > 0)

    def _start(self) -> asyncio.Task[None]:
        assert self._loop is not None
        if self._task is None:
            self._cancel_timer()
            self._state = "fetching"
            self._task = start_task(self._run(self._loop), name="rtcpeer ice servers", loop=self._loop)
        return self._task

    async def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        """Fetch once. Never raises, but CancelledError."""
        self._started_at = loop.time()
        try:
            async with asyncio.timeout(self._timeout):
                answer = self._fetch()
                if inspect.isawaitable(answer):
                    answer = await answer
            grant = self._read(answer)
        except asyncio.CancelledError:
            self._task = None
            raise
        except Exception as error:
            self._task = None
            self._failed(loop, error)
        else:
            self._task = None
            self._succeeded(loop, grant)

    def _read(self, answer: Any) -> IceServerGrant:
        if isinstance(answer, IceServerGrant):
            servers, dropped = usable_servers(answer.servers)
            ttl, dropped = answer.ttl, (*answer.dropped, *dropped)
        elif isinstance(answer, (str, bytes, Mapping)) or answer is None:
            grant = read_ice_servers(answer)
            servers, ttl, dropped = grant.servers, grant.ttl, grant.dropped
        else:
            servers, dropped = usable_servers(list(answer))
            ttl = None
        if ttl is None:
            ttl = self._ttl
            stamps = [stamp for server in servers if (stamp := expiry_of(server.username)) is not None]
            if stamps:
                left = min(stamps) - self._wall_clock()
                ttl = left if ttl is None else min(ttl, left)
        if ttl is not None and ttl <= 0:
            raise OperationError("the service returned credentials that have expired", fault="remote")
        return IceServerGrant(tuple(servers), ttl, dropped)

    def _succeeded(self, loop: asyncio.AbstractEventLoop, grant: IceServerGrant) -> None:
        if self._state == "closed":
            return
        before, self._grant = self._grant, grant
        # counted from the question, not from the answer: the service may have counted from there
        self._expires_at = None if grant.ttl is None else self._started_at + grant.ttl
        self._state, self._error, self._failures = "fresh", None, 0
        short = grant.ttl is not None and refresh_after(grant.ttl) < _MIN_INTERVAL
        self._short_lives = min(self._short_lives + 1, 10) if short else 0
        if grant.dropped and grant.dropped != self._dropped:
            logger.warning(
                "the service's answer has ICE servers that cannot be used: %s", "; ".join(grant.dropped)
            )
        self._dropped = grant.dropped
        self._plan()
        if before is not None and before.servers == grant.servers:
            return
        for subscription in tuple(self._subscriptions):
            spread = subscription.spread if subscription.spread >= 0 else self._default_spread(grant)
            delay = self._random.uniform(0, spread) if before is not None else 0.0
            subscription._deliver_after(loop, delay, grant)

    def _default_spread(self, grant: IceServerGrant) -> float:
        if self._spread is not None:
            return self._spread
        return 10.0 if grant.ttl is None else min(10.0, 0.05 * grant.ttl)

    def _failed(self, loop: asyncio.AbstractEventLoop, error: Exception) -> None:
        if self._state == "closed":
            return
        status = _status_of(error)
        fatal = status in _FATAL
        self._state = "refused" if fatal else "failing"
        wait = None
        if not fatal:
            wait = _RETRY[min(self._failures, len(_RETRY) - 1)] * self._random.uniform(0.75, 1.25)
            self._failures += 1
        if status is not None:
            reason = f"the service answered {status}"
        elif isinstance(error, TimeoutError):
            reason = f"no answer within {self._timeout:g} s"
        elif isinstance(error, RtcPeerError):  # our own messages show no credential; a foreign one may
            reason = str(error)
        else:
            reason = type(error).__name__
        failure = IceServersUnavailable(
            f"fetching ICE servers failed: {reason}",
            fatal=fatal,
            status=status,
            retry_in=wait,
            expires_in=self.expires_in,
        )
        failure.__cause__ = error
        self._error = failure
        if wait is not None and self._subscriptions:
            self._set_timer(wait)
        for subscription in tuple(self._subscriptions):
            if subscription.on_error is not None:
                _call(loop, subscription.on_error, failure)

    def _plan(self) -> None:
        """Set the timer for the next refresh, if somebody wants one."""
        if not self._subscriptions:
            return
        if self._grant is None:
            self._start()
        elif self._grant.ttl is not None:
            left = self.expires_in or 0.0
            early = 1.0 - 0.1 * self._random.random()  # processes that were started together drift apart
            delay = max(0.0, left - self._grant.ttl + refresh_after(self._grant.ttl)) * early
            floor = min(_MIN_INTERVAL * 2**self._short_lives / 2, _SLOWEST) if self._short_lives else 0.0
            self._set_timer(max(delay, floor))

    def _set_timer(self, delay: float) -> None:
        assert self._loop is not None
        self._cancel_timer()
        self._timer = self._loop.call_later(delay, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._start()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def refresh_after(ttl: float) -> float:
    """When to refresh credentials: min(80 % of TTL, TTL - 10 min), but not before half of it has passed.

    Without the last clause credentials that live for less than ten minutes would be fetched in a tight loop.
    """
    return max(min(_REFRESH_PART * ttl, ttl - _REFRESH_MARGIN), ttl / 2)


def _status_of(error: BaseException) -> int | None:
    """The HTTP status in an exception of aiohttp, httpx, requests or urllib."""
    for holder in (error, getattr(error, "response", None)):
        for name in ("status", "status_code", "code"):
            value = getattr(holder, name, None)
            if isinstance(value, int) and not isinstance(value, bool) and 100 <= value < 600:
                return value
    return None


def _call(loop: asyncio.AbstractEventLoop, function: Callable[[Any], object], argument: object) -> None:
    try:
        function(argument)
    except Exception as error:
        loop.call_exception_handler({"message": "a subscriber of ICE servers failed", "exception": error})

"""Encoding group: streams that send one track with equal parameters share one encoder.

Every sender pulls the frames of its track by itself and asks the group of its stream for each. The first to ask starts
the encoder, the others get the same result. Pictures need their predecessors: a stream that joins, or has missed one,
waits for the next key frame, and a key frame that one stream asks for is one for all.
Senders whose receivers estimate different bitrates share within a class of bitrates, at the lowest of them.
Owns: the encoder, its jobs, when the next picture is due. Never: packets, the track.
"""

from __future__ import annotations

import asyncio
import functools
import math
import weakref
from collections.abc import Hashable
from typing import Any, ClassVar

from av import VideoFrame
from av.frame import Frame
from av.packet import Packet

from rtcpeer.aio import start_task, wall_time
from rtcpeer.media.degradation import Degradation
from rtcpeer.media.encoding import EncodedPayloads, EncodeRequest, StreamEncoder
from rtcpeer.media.frame_budget import FrameBudget
from rtcpeer.media.quality_limitation import QualityLimitationReason
from rtcpeer.media.sound import FORMATS
from rtcpeer.media.source import TrackSource
from rtcpeer.media.video.pictures import BITRATE_MAX, BITRATE_MIN
from rtcpeer.media.workers import CoderStuckError, Workers
from rtcpeer.records import replace
from rtcpeer.values import DegradationPreference

# A key frame costs ten others; requests that come faster are answered together.
KEYFRAME_INTERVAL = 0.2
# An encoder that fails with every frame is made anew this often at most, in seconds.
_RETRY_FIRST, _RETRY_MAX = 0.02, 1.0
# One that hangs costs a thread each time.
_STUCK_RETRY_FIRST, _STUCK_RETRY_MAX = 5.0, 300.0
# Estimates of one class differ by less than this factor, and by a little more before one leaves it.
_CLASS_RATIO = 1.5
_CLASS_MARGIN = 1.1
# So many results are kept for streams that are behind: pictures as many as wait for a sender, sound some seconds.
_PICTURES_KEPT = 6
_SOUND_KEPT = 400


def bitrate_class(estimate: int | None, held: int | None) -> int | None:
    """The class of an estimated bitrate.

    Args:
        estimate: in bit/s; None for none. What is beyond the range of our encoders makes no difference.
        held: the class until now, which is kept while the estimate is near it.
    """
    if estimate is None:
        return None
    estimate = max(BITRATE_MIN, min(estimate, BITRATE_MAX))
    if held is not None:
        low = _CLASS_RATIO**held
        if low / _CLASS_MARGIN <= estimate <= low * _CLASS_RATIO * _CLASS_MARGIN:
            return held
    return math.floor(math.log(estimate, _CLASS_RATIO))


class EncodeResult:
    """The result of encoding one frame.

    Attributes:
        job: gives the payloads, or what the encoder raised; None for a frame that is left out.
        number: counts the frames that were encoded.
        is_forced: whether a key frame was asked for.
        first: the member that asked first.
        limitation: why it is left out.
    """

    __slots__ = ("first", "is_forced", "job", "limitation", "number")

    def __init__(
        self,
        job: asyncio.Future[EncodedPayloads | None] | None = None,
        number: int = -1,
        *,
        is_forced: bool = False,
        first: object = None,
        limitation: QualityLimitationReason = QualityLimitationReason.NONE,
    ) -> None:
        self.job: asyncio.Future[EncodedPayloads | None] | None = job
        self.number: int = number
        self.is_forced: bool = is_forced
        self.first: object = first
        self.limitation: QualityLimitationReason = limitation


class EncodingGroup:
    """The streams that send one track with equal parameters.

    Attributes:
        encoder: theirs; another one when it hung.
    """

    _groups: ClassVar[weakref.WeakKeyDictionary[TrackSource, dict[Hashable, EncodingGroup]]] = (
        weakref.WeakKeyDictionary()
    )

    def __init__(self, key: Hashable, preference: DegradationPreference) -> None:
        self.encoder: StreamEncoder = StreamEncoder()
        self._key = key
        # the members (tokens: a member itself would keep its track alive, which keeps the group), and what their
        # receivers estimate
        self._members: dict[object, int | None] = {}
        self._workers = Workers()
        # by the numbers that the track's source gives its frames
        self._frames: dict[int, EncodeResult] = {}
        self._newest = -1
        self._encoded = 0
        self._job: asyncio.Future[EncodedPayloads | None] | None = None
        self._wants_key = False
        self._key_at = 0.0
        self._due = 0.0
        # of pictures, and what the path bears as it was told last
        self._budget = FrameBudget()
        self._degradation = Degradation(preference)
        # whether it is the estimate that the budget is made of, and no lower rate that is asked for
        self._is_estimate_budget = False
        self._estimate: int | None = None
        self._failures = 0
        self._hangs = 0
        self._retry_at = 0.0

    @property
    def is_running(self) -> bool:
        """Whether something was encoded: who joins now has to wait for a key frame."""
        return self._encoded > 0

    @classmethod
    def join(
        cls,
        source: TrackSource,
        key: Hashable,
        member: object,
        former: EncodingGroup | None,
        preference: DegradationPreference = DegradationPreference.MAINTAIN_RESOLUTION,
    ) -> EncodingGroup:
        """The group with these parameters; a member that is alone in its former one takes its encoder along.

        Args:
            source: of the track.
            key: the parameters.
            member: a token of who joins.
            former: its group until now, of the same source.
            preference: what suffers when the path is too small; one of the parameters.
        """
        # jobs belong to a loop
        key = (weakref.ref(asyncio.get_running_loop()), key)
        groups = cls._groups.setdefault(source, {})
        if former is not None and former._key == key:
            return former
        group = groups.get(key)
        if (
            group is None
            and former is not None
            and len(former._members) == 1
            and groups.get(former._key) is former
        ):
            del groups[former._key]
            group = groups[key] = former
            group._key = key
            if group._degradation.preference is not preference:
                group._degradation = Degradation(preference)
            return group
        if former is not None:
            former.leave(source, member)
        if group is None:
            group = groups[key] = cls(key, preference)
        group._members[member] = None
        return group

    def leave(self, source: TrackSource, member: object) -> asyncio.Future[object] | None:
        """Encode for a member no more; with the last one the encoder is done.

        Returns:
            Done when a thread has let the encoder go, if there is anything to let go.
        """
        self._members.pop(member, None)
        if self._members:
            return None
        groups = self._groups.get(source)
        if groups is not None and groups.get(self._key) is self:
            del groups[self._key]
        return self._workers.finish(self.encoder.close)

    def encode(
        self, number: int, request: EncodeRequest, now: float, *, member: object, max_framerate: float | None
    ) -> EncodeResult | None:
        """Encode a frame, for one member; the members of the group share the result.

        Args:
            number: of the frame, as the track's source counts.
            request: of this member; its `force_keyframe` counts for the group.
            now: the time of day.
            member: who asks.
            max_framerate: of the parameters.

        Returns:
            None when the member asks too late: others have later frames already.
        """
        self._members[member] = request.estimate
        found = self._frames.get(number)
        if found is None or not found.is_forced:
            self._wants_key |= request.force_keyframe
        if found is not None or number <= self._newest:
            return found
        self._newest = number
        limitation = self._left_out(request.frame, now, max_framerate)
        if limitation is not None:
            found = EncodeResult(limitation=limitation)
        else:
            found = self._start(request, now, member)
        self._frames[number] = found
        kept = _SOUND_KEPT if request.format.name in FORMATS else _PICTURES_KEPT
        while len(self._frames) > kept:
            del self._frames[next(iter(self._frames))]
        return found

    def note_failure(self, frame: EncodeResult, now: float) -> None:
        """The encoder has failed: it is tried again soon, and ever later when it fails again."""
        if frame.job is self._job:
            self._failures += 1
            retry_at = now + min(_RETRY_MAX, _RETRY_FIRST * 2**self._failures)
            self._retry_at = max(self._retry_at, retry_at)
            self._wants_key |= frame.is_forced

    def note_success(self) -> None:
        """The encoder works."""
        self._failures = 0

    def _start(self, request: EncodeRequest, now: float, first: object) -> EncodeResult:
        forced = self._wants_key and now - self._key_at > KEYFRAME_INTERVAL
        if forced:
            self._wants_key, self._key_at = False, now
        estimates = [estimate for estimate in self._members.values() if estimate is not None]
        self._estimate = min(estimates) if estimates else None
        request = replace(
            request, force_keyframe=forced, estimate=self._estimate, divisor=self._divisor(request, now)
        )
        self._encoded += 1
        loop = asyncio.get_running_loop()
        previous = self._job
        job: asyncio.Future[EncodedPayloads | None]
        if isinstance(request.frame, Packet):
            # it is only cut: cheaper than the way to a thread and back
            job = loop.create_future()
            try:
                job.set_result(self.encoder.encode(request))
            except Exception as exc:
                job.set_exception(exc)
        elif previous is None or previous.done():
            job = self._workers.run(self.encoder.encode, request)
        else:
            # an encoder is used by one thread at a time
            job = start_task(self._encode_after(previous, request))
        job.add_done_callback(functools.partial(self._note_job, now))
        self._job = job
        return EncodeResult(job, self._encoded, is_forced=forced, first=first)

    def _divisor(self, request: EncodeRequest, now: float) -> float:
        """The divisor of the sides of a picture that lets the path bear more pictures."""
        frame = request.frame
        if not isinstance(frame, VideoFrame):
            return 1.0
        target = self.encoder.target
        allowed = self._estimate if self._estimate is None or target is None else min(self._estimate, target)
        pixels = round(frame.width * frame.height / request.scale_down_by**2)
        self._degradation.settle(now, pixels=pixels, allowed=allowed)
        return self._degradation.divisor

    async def _encode_after(
        self, previous: asyncio.Future[Any], request: EncodeRequest
    ) -> EncodedPayloads | None:
        await asyncio.wait([previous])
        if not self._members or wall_time() < self._retry_at:
            return None
        return await self._workers.run(self.encoder.encode, request)

    def _note_job(self, asked_at: float, job: asyncio.Future[EncodedPayloads | None]) -> None:
        """The error of a job that nobody awaits any more is nobody's; but an encoder that hangs is never used again."""
        if job.cancelled():
            return
        error = job.exception()
        if error is None:
            self._spend(job.result(), asked_at)
        if not isinstance(error, CoderStuckError):
            return
        self.encoder = self.encoder.successor()
        self._retry_at = wall_time() + min(_STUCK_RETRY_MAX, _STUCK_RETRY_FIRST * 2**self._hangs)
        self._hangs += 1

    def _spend(self, made: EncodedPayloads | None, now: float) -> None:
        """Take note of how much a picture has cost: the encoder aims at a rate that it cannot always keep to."""
        if self._estimate is None:
            self._budget.forgive()
        elif made is not None and made.target is not None and not made.times:
            size = sum([len(payload) for payload in made.payloads])
            self._is_estimate_budget = self._estimate <= made.target
            self._budget.spend(size, min(self._estimate, made.target), now)
            self._degradation.note_made(8 * size)

    def _left_out(
        self, frame: Frame | Packet[Any], now: float, max_framerate: float | None
    ) -> QualityLimitationReason | None:
        """Why a frame is not sent now, if so: under maxFramerate, as many as the other end decodes, as the path bears.

        The clock decides, not the track's own time, which may stand still, go back or be in other units.

        Returns:
            None for a frame that is sent; NONE for one that the program itself does not want.
        """
        if now < self._retry_at:
            return QualityLimitationReason.OTHER
        if not isinstance(frame, VideoFrame):
            return None
        if not self._budget.allows(now):
            if not self._is_estimate_budget:
                return QualityLimitationReason.NONE
            self._degradation.note_left_out()
            return QualityLimitationReason.BANDWIDTH
        limit, able, reason = max_framerate, self.encoder.rate_limit, QualityLimitationReason.NONE
        if able is not None and (limit is None or able < limit):
            limit, reason = able, QualityLimitationReason.OTHER
        if limit is None:
            return None
        if limit <= 0:
            return reason
        interval = 1 / limit
        if self._due > now + 1.5 * interval:
            # the limit has changed
            self._due = now
        # a part of a picture of tolerance: sources jitter
        if now < self._due - interval / 4:
            return reason
        # after a pause the schedule begins anew
        self._due = (self._due if now - self._due < interval else now) + interval
        return None

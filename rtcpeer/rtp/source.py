"""All streams of one receiver as the source of outputs: who gets which, and key frames asked for.

Pure: time is an argument; asking and waking are callables that were handed in.
"""

from __future__ import annotations

from collections.abc import Callable

from rtcpeer.rtp.clocks import StreamClock
from rtcpeer.rtp.forwarding import Output, SourceStream
from rtcpeer.rtp.layers import SILENCE, STAY, UP, Damping, choose, choose_temporal, wanted_bitrate
from rtcpeer.rtp.temporal import ALL
from rtcpeer.rtp.thinning import NEEDED, Thinning

# How often layers are chosen anew while there are several.
CHOICE_INTERVAL = 0.5
# Streams of one source; older ones are forgotten.
STREAMS_MAX = 16


class Source:
    """The streams of one receiver as outputs get them.

    Args:
        kind: "audio" or "video".
        ask: sends a request for a key frame of a stream.
        wake: called when `poll` should be called: something may be due earlier than it said.

    Attributes:
        streams: by SSRC.
        outputs: those that get one, and the layer (rid) that each asked for.
    """

    def __init__(self, kind: str, ask: Callable[[SourceStream], None], wake: Callable[[], None]) -> None:
        self.kind = kind
        self.streams: dict[int, SourceStream] = {}
        self.outputs: dict[Output, str | None] = {}
        self._ask = ask
        self._wake = wake
        # the stream that an output waits for, behind the one that it gets
        self._awaited: dict[Output, SourceStream] = {}
        # those that have moved down, or might
        self._dampings: dict[Output, Damping] = {}
        # the streams with fewer temporal layers of a stream, where somebody wants those
        self._thinnings: dict[SourceStream, Thinning] = {}
        self._chosen_at = 0.0

    # -- streams -----------------------------------------------------------------------------------

    def add_stream(
        self, ssrc: int, *, clock_rate: int, rid: str | None, clock: StreamClock | None, now: float
    ) -> SourceStream:
        """The stream with this SSRC, which has begun to arrive."""
        stream = self.streams.get(ssrc)
        if stream is None:
            if len(self.streams) >= STREAMS_MAX:
                self.remove_stream(min(self.streams.values(), key=lambda s: s.last_at).ssrc, now)
            stream = SourceStream(ssrc, is_video=self.kind == "video", clock_rate=clock_rate)
            stream.clock = clock
            stream.last_at = now
            self.streams[ssrc] = stream
            stream.rid = rid
            self.choose_all(now)
            self._wake()
        return stream

    def remove_stream(self, ssrc: int, now: float) -> None:
        """Forget a stream; its outputs get another one, if there is any."""
        stream = self.streams.pop(ssrc, None)
        if stream is None:
            return
        self._thinnings.pop(stream, None)
        for output in list(self.outputs):
            awaited = self._awaited.get(output)
            waits = awaited is not None and awaited.origin is stream
            if waits:
                self._stop_waiting(output)
            gets = output.stream is not None and output.stream.origin is stream
            if gets:
                output.detach()
            if waits or gets:
                self._choose(output, now)

    @property
    def layers(self) -> list[str]:
        """The rids of the streams that have been seen, the smallest bitrate first."""
        named = [stream for stream in self.streams.values() if stream.rid is not None]
        named.sort(key=lambda s: s.rate.current(s.last_at))
        return [stream.rid for stream in named if stream.rid is not None]

    def is_used(self, stream: SourceStream) -> bool:
        """Whether an output gets a stream, or one with fewer temporal layers of it, or waits for one of them."""
        thinning = self._thinnings.get(stream)
        return stream.is_used or (thinning is not None and thinning.is_used)

    # -- outputs -----------------------------------------------------------------------------------

    def add(self, output: Output, layer: str | None, now: float) -> None:
        """Give the best stream to an output, or this layer; from its next key frame on."""
        self.outputs[output] = layer
        self._choose(output, now)

    def remove(self, output: Output) -> None:
        """Give nothing to an output any more."""
        if output in self.outputs:
            self.hand_over(output)
            output.detach()

    def hand_over(self, output: Output) -> None:
        """Leave an output to another source; it gets what it gets until that has a key frame for it."""
        if output in self.outputs:
            del self.outputs[output]
            self._dampings.pop(output, None)
            self._stop_waiting(output)

    def choose_output(self, output: Output, now: float) -> None:
        """Look again which stream an output should get."""
        if output in self.outputs:
            self._choose(output, now)

    def prefer(self, output: Output, layer: str | None, now: float) -> None:
        """Give this layer to an output from its next key frame on; None for the best one that fits."""
        if output in self.outputs:
            self.outputs[output] = layer
            self._choose(output, now)

    def limit(self, output: Output, temporal: int | None, now: float) -> None:
        """Give no temporal layer above this one to an output, from now on; None for as many as its estimate bears."""
        output.temporal = temporal
        # what the program wants comes at once, whatever the estimate has not borne before
        self._dampings.pop(output, None)
        self.choose_output(output, now)

    def choose_all(self, now: float) -> None:
        """Look again which stream each output should get."""
        self._chosen_at = now
        for output in list(self.outputs):
            self._choose(output, now)

    def awaited(self, output: Output) -> SourceStream | None:
        """The stream whose key frame an output waits for; None if it waits for none."""
        stream = self._awaited.get(output)
        if stream is not None and output.stream is stream:
            del self._awaited[output]
            return None
        return stream

    def _choose(self, output: Output, now: float) -> None:
        awaited = self.awaited(output)
        stream = choose(
            self.streams.values(),
            wanted=self.outputs[output],
            estimate=output.estimate,
            current=None if output.stream is None else output.stream.origin,
            now=now,
        )
        limit = ALL if stream is None else self._limit(output, stream, awaited, now)
        if stream is not None and output.estimate is not None and self.outputs[output] is None:
            stream, limit = self._damp(output, stream, limit, awaited, now)
        if awaited is not None and awaited.origin is stream and awaited.temporal == limit:
            return
        self._stop_waiting(output)
        if stream is None:
            return
        thinning = self._thin(stream) if limit < ALL else self._thinnings.get(stream)
        if output.stream is not None and output.stream.origin is stream:
            if thinning is not None:
                # the same pictures, fewer or more of them: no key frame is needed
                thinning.move(output, limit)
            return
        if thinning is not None:
            stream = thinning.stream(limit)
        stream.join(output, now)
        if output.stream is not stream:
            self._awaited[output] = stream
            if stream.is_video:
                self.ask(stream, now)

    def _damp(
        self, output: Output, stream: SourceStream, limit: int, awaited: SourceStream | None, now: float
    ) -> tuple[SourceStream, int]:
        """The stream and temporal layer that an output gets of those that its estimate bears; see `Damping`."""
        held = awaited or output.stream
        if held is None or now - held.origin.last_at >= SILENCE:
            return stream, limit
        before = held.origin
        if output.temporal is not None:
            held_limit = limit  # the program's choice
        elif awaited is None and before in self._thinnings:
            held_limit = self._thinnings[before].limit_of(output)
        else:
            held_limit = held.temporal
        damping = self._dampings.setdefault(output, Damping())
        if (stream, limit) == (before, held_limit):
            damping.stay()
        elif limit < held_limit if stream is before else stream.rate.current(now) < before.rate.current(now):
            damping.fall(now)
        elif not damping.may_rise(now):
            return before, held_limit
        return stream, limit

    def _limit(self, output: Output, stream: SourceStream, awaited: SourceStream | None, now: float) -> int:
        """The highest temporal layer of a stream that an output should get.

        What the program asked for, whatever the way bears; as many as it bears if the program asked for nothing.
        """
        if output.temporal is not None:
            return min(output.temporal, ALL)
        if output.estimate is None or not stream.is_video or self.outputs[output] is not None:
            return ALL
        thinning = self._thinnings.get(stream)
        if awaited is not None and awaited.origin is stream:
            held = awaited.temporal
        else:
            held = ALL if thinning is None else thinning.limit_of(output)
        if output.estimate >= 8 * stream.rate.current(now) * (STAY if held == ALL else UP):
            return ALL
        # each packet is looked at for its layer from now on
        return choose_temporal(self._thin(stream).bitrates(now), estimate=output.estimate, held=held)

    def _thin(self, stream: SourceStream) -> Thinning:
        thinning = self._thinnings.get(stream)
        if thinning is None:
            thinning = self._thinnings[stream] = Thinning(stream)
            stream.on_take, stream.on_skip = thinning.take, thinning.skip
            self._wake()
        return thinning

    def _stop_waiting(self, output: Output) -> None:
        stream = self._awaited.pop(output, None)
        if stream is not None:
            stream.waiting = tuple([other for other in stream.waiting if other is not output])
        for thinning in self._thinnings.values():
            thinning.forget(output)

    def wanted(self, output: Output, now: float) -> int:
        """The bitrate that an output would get if its way bore it, in bit/s; 0 if it gets nothing."""
        if output not in self.outputs:
            return 0
        return wanted_bitrate(self.streams.values(), wanted=self.outputs[output], now=now)

    # -- key frames --------------------------------------------------------------------------------

    def request_keyframe(self, output: Output, now: float) -> None:
        """A subscriber needs a key frame of what it gets."""
        stream = self.awaited(output) or output.stream
        if stream is not None and stream.is_video:
            self.ask(stream, now)

    def ask(self, stream: SourceStream, now: float) -> None:
        """Ask for a key frame of a stream, now or as soon as the last request is old enough."""
        if stream.keyframes.ask(now):
            self._ask(stream)
        self._wake()

    def poll(self, now: float) -> float | None:
        """Do what is due.

        Returns:
            When to call again; None for not before `wake`.
        """
        times: list[float] = []
        if len(self.streams) > 1 and self.outputs:
            if now - self._chosen_at >= CHOICE_INTERVAL:
                self.choose_all(now)
            times.append(self._chosen_at + CHOICE_INTERVAL)
        for stream in self.streams.values():
            thinning = self._thinnings.get(stream)
            if thinning is not None:
                thinning.prune()
                if thinning.is_needed(now):
                    times.append(now + NEEDED)
                else:
                    del self._thinnings[stream]
                    stream.on_take = stream.on_skip = None
            if not self.is_used(stream):
                continue
            if stream.keyframes.poll(now):
                self._ask(stream)
            due = stream.keyframes.due()
            if due is not None:
                times.append(max(due, now))
        return min(times, default=None)

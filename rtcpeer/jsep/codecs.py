"""Codecs: which are the same, which are common, and which payload type each gets.

Owns the comparison rules (webrtc-pc "codec dictionary match", RFC 6184 profiles, RFC 9628, RFC 4588 apt) and the
allocation of payload types (RFC 8829 5.2.1, RFC 5761 4).  Pure functions over tuples of `Codec`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from rtcpeer.records import replace
from rtcpeer.values import Codec, Direction, Feedback

_AUXILIARY = frozenset(("rtx", "red", "ulpfec", "flexfec", "flexfec-03", "cn"))
_DYNAMIC = (*range(96, 128), *range(35, 64))
"""Payload types to give out: RFC 3551 dynamic first, then the range that RFC 5761 leaves free under rtcp-mux."""


def is_auxiliary(codec: Codec) -> bool:
    """Retransmission, redundancy, FEC or comfort noise: cannot carry a section alone."""
    name = codec.mime_type.rpartition("/")[2]
    return name in _AUXILIARY or name.lower() in _AUXILIARY


def is_rtx(codec: Codec) -> bool:
    """RFC 4588."""
    mime_type = codec.mime_type
    return mime_type == "video/rtx" or mime_type.lower() in ("video/rtx", "audio/rtx")


def identity(codec: Codec) -> str:
    """The identity of a codec, the same on both sides: name, rate, channels and the symmetrical parameters.

    Two codecs with one identity can stand for each other in negotiation; level and the like are left out.
    """
    name = codec.mime_type.lower()
    if name == "audio/opus":
        # RFC 7587 7: always two channels; webrtcbin does not say so before its encoder runs
        return f"{name}/{codec.clock_rate}"
    text = f"{name}/{codec.clock_rate}/{codec.channels or 1}"
    if name == "video/h264":
        profile = h264_profile(codec.parameter("profile-level-id"))
        # without one it is single NAL unit packets (RFC 6184 8.1)
        return f"{text};{profile};{codec.parameter('packetization-mode') or '0'}"
    if name == "video/vp9":
        return f"{text};{codec.parameter('profile-id') or '0'}"
    if name == "video/av1":
        return f"{text};{codec.parameter('profile') or '0'}"
    if name == "video/h265":
        return f"{text};{codec.parameter('profile-id') or '1'}"
    return text


def _identities(codec: Codec) -> tuple[str, ...]:
    """The identities of ours that can stand for a codec of the other side, the best first.

    Of H.264 of which nothing is said, as webrtcbin has it before its encoder runs, mode 1 is understood as well.
    """
    own = identity(codec)
    if codec.fmtp or codec.mime_type.lower() != "video/h264":
        return (own,)
    return own, identity(replace(codec, fmtp=(("packetization-mode", "1"),)))


_H264_PROFILES = (  # RFC 6184 table 5: profile_idc, mask and value of profile-iop, name
    (0x42, 0x4F, 0x40, "constrained-baseline"),
    (0x4D, 0x8F, 0x80, "constrained-baseline"),
    (0x58, 0xCF, 0xC0, "constrained-baseline"),
    (0x42, 0x4F, 0x00, "baseline"),
    (0x58, 0xCF, 0x80, "baseline"),
    (0x4D, 0xAF, 0x00, "main"),
    (0x64, 0xFF, 0x00, "high"),
    (0x64, 0xFF, 0x0C, "constrained-high"),
    (0xF4, 0xFF, 0x00, "high-444"),
)


def h264_profile(profile_level_id: str | None) -> str:
    """The profile of a ``profile-level-id``; without one it is baseline (RFC 6184 8.1), read as constrained."""
    if profile_level_id is None:
        return "constrained-baseline"
    return _profile(profile_level_id) if len(profile_level_id) == 6 else profile_level_id


@lru_cache(maxsize=64)
def _profile(profile_level_id: str) -> str:
    try:
        value = int(profile_level_id, 16)
    except ValueError:
        return profile_level_id
    idc, iop = value >> 16, (value >> 8) & 0xFF
    return next((n for i, mask, v, n in _H264_PROFILES if i == idc and iop & mask == v), f"{idc:x}-{iop:x}")


def dictionary_match(first: Codec, second: Codec) -> bool:
    """webrtc-pc "codec dictionary match" with ignoreAsymmetricalParameters false."""
    return _same_format(first, second) and _parameters(first) == _parameters(second)


def loose_match(first: Codec, second: Codec) -> bool:
    """webrtc-pc "codec dictionary match" with ignoreAsymmetricalParameters true."""
    return _same_format(first, second) and _symmetrical(first) == _symmetrical(second)


def _same_format(first: Codec, second: Codec) -> bool:
    return (
        first.mime_type.lower() == second.mime_type.lower()
        and first.clock_rate == second.clock_rate
        and first.channels == second.channels
        and bool(first.fmtp) == bool(second.fmtp)
    )


def _parameters(codec: Codec) -> dict[str, str | None]:
    return {name.lower(): value.lower() if value else value for name, value in codec.fmtp}


# What one side says of itself alone: RFC 7798 section 7.2.2, AV1 RTP specification section 7.2.3.
_ASYMMETRICAL = {
    "video/h265": ("level-id", "max-recv-level-id"),
    "video/av1": ("profile", "level-idx", "tier"),
}


def _symmetrical(codec: Codec) -> dict[str, str | None]:
    """The parameters that both sides have in common; of H.264's level only the profile is (RFC 6184 8.2.2)."""
    parameters = _parameters(codec)
    name = codec.mime_type.lower()
    if name == "video/h264":
        parameters["profile-level-id"] = h264_profile(parameters.get("profile-level-id"))
    for own in _ASYMMETRICAL.get(name, ()):
        parameters.pop(own, None)
    return parameters


def find(wanted: Codec, codecs: Sequence[Codec]) -> Codec | None:
    """The codec of a list that is meant: the same, else the same but for what one side says of itself, else its kin."""
    return (
        next((c for c in codecs if dictionary_match(wanted, c)), None)
        or next((c for c in codecs if loose_match(wanted, c)), None)
        or next((c for c in codecs if identity(wanted) == identity(c)), None)
    )


def supported(send: Sequence[Codec], receive: Sequence[Codec], direction: Direction) -> tuple[Codec, ...]:
    """The codecs for a section of this direction (webrtc-pc 4.4.2 filter); inactive counts as both."""
    if direction is Direction.SENDONLY:
        return tuple(send)
    if direction is Direction.RECVONLY:
        return tuple(receive)
    ours = {identity(c) for c in send}
    return tuple([c for c in receive if identity(c) in ours])


def preferred(
    preferences: Sequence[Codec], send: Sequence[Codec], receive: Sequence[Codec], direction: Direction
) -> tuple[Codec, ...]:
    """The codecs of a section in order: the filtered preferences if they leave something, else all supported.

    Feedback is a property of the capability and is taken from there.
    """
    able = supported(send, receive, direction)
    if preferences:
        by_identity: dict[str, Codec] = {}
        for c in able:
            by_identity.setdefault(identity(c), c)
        chosen: list[Codec] = []
        for p in preferences:
            capability = by_identity.get(identity(p))
            if capability is not None:
                chosen.append(
                    replace(
                        p,
                        feedback=capability.feedback,
                        payload_type=None if p.fmtp != capability.fmtp else capability.payload_type,
                    )
                )
        if any(not is_auxiliary(c) for c in chosen):
            return tuple(chosen)
    return able


def in_order_of(agreed: Sequence[Codec], codecs: Sequence[Codec]) -> tuple[Codec, ...]:
    """The codecs as the most recent answer has them, then the others (RFC 9429 5.2.2)."""
    places: dict[str, int] = {}
    for place, codec in enumerate(agreed):
        places.setdefault(identity(codec), place)
    return tuple(sorted(codecs, key=lambda codec: places.get(identity(codec), len(agreed))))


class PayloadTypes:
    """Gives out payload types for one description.

    A number stays with its codec for the life of the session; a codec keeps the number it has in its own section,
    else the one it has elsewhere, else its preferred one, else a free one.

    Args:
        known: (payload type, key) of everything negotiated before.
    """

    def __init__(self, known: Iterable[tuple[int, str]]) -> None:
        self._by_key: dict[str, int] = {}
        self._taken: dict[int, str] = {}
        for number, key in known:
            self._by_key[key] = number
            self._taken.setdefault(number, key)

    def number(self, key: str, wish: int | None, section: dict[str, int], used: set[int]) -> int | None:
        """The payload type for a codec in one section, or None when there is none left.

        Args:
            key: `codec_key` of the codec.
            wish: the preferred number.
            section: what this section negotiated before, by key.
            used: numbers that this section of this description has already.
        """
        candidate: int | None
        for candidate in (section.get(key), self._by_key.get(key)):
            if candidate is not None and candidate not in used and self._is_of(candidate, key):
                used.add(candidate)
                self._taken.setdefault(candidate, key)
                return candidate
        for candidate in (wish, *_DYNAMIC):
            if candidate is not None and candidate not in used and self._taken.get(candidate, key) == key:
                used.add(candidate)
                self._taken[candidate] = key
                self._by_key[key] = candidate
                return candidate
        return None

    def _is_of(self, number: int, key: str) -> bool:
        """Whether nobody else has a number: an offer that was taken back may have given it to another codec."""
        return self._taken.get(number, key).partition("|")[0] == key.partition("|")[0]


def codec_key(codec: Codec, primary: Codec | None = None) -> str:
    """The name under which a payload type is remembered; parameters that differ make another format."""
    parameters = ";".join([f"{n}={v}" for n, v in codec.fmtp if n.lower() != "apt"])
    key = f"{identity(codec)}|{parameters}"
    return f"{key}|{codec_key(primary)}" if primary is not None else key


def keys_of(codecs: Sequence[Codec]) -> dict[str, int]:
    """Key -> payload type of the codecs of a section."""
    by_number = {c.payload_type: c for c in codecs}
    result: dict[str, int] = {}
    for codec in codecs:
        primary = by_number.get(codec.repeated_payload_type) if is_rtx(codec) else None
        if codec.payload_type is not None:
            result.setdefault(codec_key(codec, primary), codec.payload_type)
    return result


def numbered(codecs: Sequence[Codec], numbers: PayloadTypes, section: dict[str, int]) -> tuple[Codec, ...]:
    """The codecs of an offer with payload types; each codec is followed by its retransmission if that is wanted."""
    rtx = next((c for c in codecs if is_rtx(c)), None)
    used: set[int] = set()
    result: list[Codec] = []
    for codec in codecs:
        if is_rtx(codec):
            continue
        number = numbers.number(codec_key(codec), codec.payload_type, section, used)
        if number is None:
            continue
        placed = replace(codec, payload_type=number)
        result.append(placed)
        # what is in video's RED is media as well
        if rtx is not None and (not is_auxiliary(codec) or codec.mime_type.lower() == "video/red"):
            # the next number, so that those of others stay theirs
            wish = number + 1 if number + 1 in _DYNAMIC else None
            rtx_number = numbers.number(codec_key(rtx, placed), wish, section, used)
            if rtx_number is not None:
                result.append(replace(rtx, payload_type=rtx_number, fmtp=(("apt", str(number)),)))
    red = next((c for c in result if c.name.lower() == "red" and c.kind == "audio"), None)
    if red is not None:  # RFC 2198: names what it wraps
        main = next((c for c in result if _may_be_in_red(c, red)), None)
        if main is None:
            result.remove(red)
        else:
            result[result.index(red)] = replace(
                red, fmtp=((f"{main.payload_type}/{main.payload_type}", None),)
            )
    return tuple(result)


def _may_be_in_red(codec: Codec, red: Codec) -> bool:
    """Whether RED of sound wraps a codec: sound of its own clock (RFC 2198 section 4). Tones repeat themselves."""
    return (
        not is_auxiliary(codec)
        and codec.name.lower() != "telephone-event"
        and (codec.clock_rate, codec.channels) == (red.clock_rate, red.channels)
    )


def common_feedback(ours: Sequence[Feedback], theirs: Sequence[Feedback]) -> tuple[Feedback, ...]:
    """The feedback messages both sides know, in their order."""
    mine = set(ours)
    return tuple(dict.fromkeys(f for f in theirs if f in mine))


def answered(
    offered: Sequence[Codec],
    preferences: Sequence[Codec],
    send: Sequence[Codec],
    receive: Sequence[Codec],
    direction: Direction,
) -> tuple[Codec, ...]:
    """The codecs of an answer: what was offered and is supported, with the offered payload types.

    The order is ours when there are preferences, else the offerer's (RFC 8829 5.3.1).  Of codecs offered
    twice the first one counts.
    """
    ours = preferred(preferences, send, receive, direction)
    by_identity: dict[str, tuple[int, Codec]] = {}
    for place, codec in enumerate(ours):
        by_identity.setdefault(identity(codec), (place, codec))
    chosen: list[tuple[int, Codec, Codec]] = []
    seen: set[str] = set()
    for codec in offered:
        keys = [key for key in _identities(codec) if key in by_identity]
        if not keys or is_rtx(codec) or keys[0] in seen:
            continue
        key = keys[0]
        found = by_identity[key]
        seen.add(key)
        chosen.append((found[0], _answer(found[1], codec), codec))
    if preferences and ours != supported(send, receive, direction):
        chosen.sort(key=lambda entry: entry[0])
    result = [codec for _, codec, _ in chosen]
    if not any(not is_auxiliary(c) for c in result):
        return ()
    return _with_rtx(result, offered, any(is_rtx(c) for c in ours))


def _with_rtx(primary: list[Codec], offered: Sequence[Codec], wanted: bool) -> tuple[Codec, ...]:
    """The codecs, each followed by its retransmission format as it was offered."""
    if not wanted:
        return tuple(primary)
    by_apt: dict[int | None, Codec] = {}
    for codec in offered:
        if is_rtx(codec):
            by_apt.setdefault(codec.repeated_payload_type, codec)
    result: list[Codec] = []
    for codec in primary:
        result.append(codec)
        rtx = by_apt.get(codec.payload_type)
        if rtx is not None:
            result.append(replace(rtx, feedback=()))
    return tuple(result)


def _answer(ours: Codec, theirs: Codec) -> Codec:
    """Our parameters under their payload type."""
    fmtp = ours.fmtp
    name = ours.mime_type.lower()
    if name == "video/h264":
        fmtp = _h264_answer(ours, theirs)
    elif name == "video/h265":
        fmtp = _h265_answer(ours, theirs)
    elif ours.name.lower() == "red":
        fmtp = theirs.fmtp
    return replace(
        ours,
        fmtp=fmtp,
        feedback=common_feedback(ours.feedback, theirs.feedback),
        payload_type=theirs.payload_type,
    )


def _h264_answer(ours: Codec, theirs: Codec) -> tuple[tuple[str, str | None], ...]:
    """RFC 6184 8.2.2: without level asymmetry the answer's level is not above the offer's."""
    mine, other = ours.parameter("profile-level-id"), theirs.parameter("profile-level-id")
    asymmetric = (
        ours.parameter("level-asymmetry-allowed") == theirs.parameter("level-asymmetry-allowed") == "1"
    )
    if asymmetric or mine is None or other is None:
        return ours.fmtp
    level = min(mine[4:].lower(), other[4:].lower())
    return tuple([(n, other[:4] + level if n == "profile-level-id" else v) for n, v in ours.fmtp])


def _h265_answer(ours: Codec, theirs: Codec) -> tuple[tuple[str, str | None], ...]:
    """RFC 7798 7.2.2: the answer's level is not above the offer's; without one it is 3.1."""
    levels = [codec.parameter("level-id") or "93" for codec in (ours, theirs)]
    if not all(level.isascii() and level.isdigit() and len(level) < 4 for level in levels):
        return ours.fmtp
    level = min(levels, key=int)
    return tuple([(n, level if n == "level-id" else v) for n, v in ours.fmtp])


def sendable(
    remote: Sequence[Codec], send: Sequence[Codec], agreed: Sequence[Codec] | None = None
) -> tuple[Codec, ...]:
    """[[SendCodecs]]: what the remote description takes and we can encode, in its order and with its parameters.

    Args:
        remote: codecs of the remote section.
        send: our capabilities.
        agreed: when we answered, the codecs of our answer: others were refused.
    """
    by_identity = {identity(c): c for c in reversed(send)}
    numbers = None if agreed is None else {c.payload_type for c in agreed}
    primary = []
    for codec in remote:
        ours = next((by_identity[key] for key in _identities(codec) if key in by_identity), None)
        if ours is not None and not is_rtx(codec) and (numbers is None or codec.payload_type in numbers):
            primary.append(replace(codec, feedback=common_feedback(ours.feedback, codec.feedback)))
    if not any(not is_auxiliary(c) for c in primary):
        return ()
    retransmissions = [c for c in remote if numbers is None or c.payload_type in numbers]
    return _with_rtx(primary, retransmissions, any(is_rtx(c) for c in send))


def receivable(local: Sequence[Codec], remote: Sequence[Codec]) -> tuple[Codec, ...]:
    """[[ReceiveCodecs]] once both descriptions are known: ours, as far as the other side took them."""
    theirs = {identity(c) for c in remote}
    # answers that say nothing of how H.264 is cut mean the format whose number they repeat
    unsaid = {
        c.payload_type
        for c in remote
        if c.mime_type.lower() == "video/h264" and c.parameter("packetization-mode") is None
    }
    numbers = {
        c.payload_type
        for c in local
        if not is_rtx(c)
        and (identity(c) in theirs or (c.payload_type in unsaid and c.mime_type.lower() == "video/h264"))
    }
    return tuple(
        [c for c in local if c.payload_type in numbers or (is_rtx(c) and c.repeated_payload_type in numbers)]
    )


def wrappers_left_out(local: Sequence[Codec], receivable: Sequence[Codec]) -> tuple[Codec, ...]:
    """RED, its corrections and their retransmission that we offered and the other side has not taken.

    Formats that an answer leaves out are not to be sent (RFC 3264 section 6.1). Chromium (found with 156) sends
    pictures in RED all the same where that was offered and the setCodecPreferences() of a page has left it out.
    """
    names = ("red", "ulpfec")
    left = {
        c.payload_type
        for c in local
        if c not in receivable and c.mime_type.rpartition("/")[2].lower() in names
    }
    return tuple(
        [c for c in local if c.payload_type in left or (is_rtx(c) and c.repeated_payload_type in left)]
    )

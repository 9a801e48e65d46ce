"""Libvpx's encoders of VP8 and VP9, called directly: libav cannot change the bitrate of one that runs.

The library is the one that libav has loaded; its functions are found through an extension module of PyAV. What is
written here of its records is equal in all the versions of `_VERSIONS` (libvpx 1.8 to 1.17), and an encoder of another
version refuses to open, as the version is an argument. Where the library is not found (Windows), `open_encoder` gives
None and libav's encoder is used.
"""

from __future__ import annotations

import ctypes
import fractions
import weakref
from collections.abc import Mapping
from ctypes import POINTER, byref, c_int, c_long, c_size_t, c_uint, c_uint32, c_ulong, c_void_p
from functools import cache
from typing import Any, ClassVar

import av.codec.context
from av import VideoFrame
from av.packet import Packet
from av.video.frame import PictureType

from rtcpeer.errors import OperationError

# VPX_ENCODER_ABI_VERSION of the releases whose records were compared
_VERSIONS = (39, 37, 36, 34, 30, 25, 24, 23)
_ABI_MISMATCH = 3
_I420 = 0x102
_CBR = 1
_REALTIME = 1
_FORCE_KEY, _IS_KEY = 1, 1
_FRAME_PACKET = 0
# More than any version's records take, in bytes.
_SPARE = 8192
# The buffer of the rate control in ms: all, at the beginning, and what it aims at. The first picture may take what half
# a second bears, and what is too much is worked off within a second.
_BUFFER, _BUFFER_FIRST, _BUFFER_AIM = 1000, 500, 600
_UNDERSHOOT, _OVERSHOOT = 100, 15
# A key frame at most, in percent of what a picture has on average.
_KEY_MAX = 900

# Control ids of vp8cx.h
CPU_USED, NOISE_SENSITIVITY, STATIC_THRESHOLD, TOKEN_PARTITIONS = 13, 15, 17, 18
MAX_INTRA, AQ_MODE, ROW_MT = 26, 36, 55


class _Buffer(ctypes.Structure):
    """vpx_fixed_buf_t."""

    _fields_: ClassVar = [("buf", c_void_p), ("sz", c_size_t)]


class _Configuration(ctypes.Structure):
    """vpx_codec_enc_cfg_t, as far as it is read or written here."""

    _fields_: ClassVar = [
        *[(name, c_uint) for name in ("usage", "threads", "profile", "width", "height")],
        *[(name, c_uint) for name in ("bit_depth", "input_bit_depth")],
        ("time_numerator", c_int),
        ("time_denominator", c_int),
        *[(name, c_uint) for name in ("error_resilient", "pass_", "lag_in_frames", "drop_threshold")],
        *[(name, c_uint) for name in ("resize_allowed", "scaled_width", "scaled_height")],
        *[(name, c_uint) for name in ("resize_up", "resize_down", "end_usage")],
        ("two_pass_in", _Buffer),
        ("first_pass_in", _Buffer),
        *[(name, c_uint) for name in ("bitrate", "quantizer_min", "quantizer_max")],
        *[(name, c_uint) for name in ("undershoot", "overshoot", "buffer", "buffer_first", "buffer_aim")],
        *[(name, c_uint) for name in ("bias", "section_min", "section_max", "complexity")],
        *[(name, c_uint) for name in ("key_mode", "key_distance_min", "key_distance_max")],
        ("rest", ctypes.c_char * _SPARE),
    ]


class _Image(ctypes.Structure):
    """vpx_image_t."""

    _fields_: ClassVar = [
        *[(name, c_uint) for name in ("format", "colours", "range", "width", "height", "bit_depth")],
        *[(name, c_uint) for name in ("shown_width", "shown_height", "render_width", "render_height")],
        ("x_shift", c_uint),
        ("y_shift", c_uint),
        ("planes", c_void_p * 4),
        ("strides", c_int * 4),
        ("rest", ctypes.c_char * 256),
    ]


class _FramePacket(ctypes.Structure):
    """vpx_codec_cx_pkt_t of an encoded picture."""

    _fields_: ClassVar = [
        ("kind", c_int),
        ("buf", c_void_p),
        ("sz", c_size_t),
        ("pts", ctypes.c_int64),
        ("duration", c_ulong),
        ("flags", c_uint32),
    ]


@cache
def _library() -> ctypes.CDLL | None:
    """Libvpx in this process; None if its functions are not found."""
    try:
        library = ctypes.CDLL(av.codec.context.__file__)
        init = library.vpx_codec_enc_init_ver
        init.argtypes = [c_void_p, c_void_p, c_void_p, c_long, c_int]
        library.vpx_codec_enc_config_default.argtypes = [c_void_p, c_void_p, c_uint]
        library.vpx_codec_enc_config_set.argtypes = [c_void_p, c_void_p]
        # the last argument is one of a variable list, which some machines pass in another way
        library.vpx_codec_control_.argtypes = [c_void_p, c_int]
        library.vpx_codec_encode.argtypes = [c_void_p, c_void_p, ctypes.c_int64, c_ulong, c_long, c_ulong]
        library.vpx_codec_get_cx_data.argtypes = [c_void_p, c_void_p]
        library.vpx_codec_get_cx_data.restype = POINTER(_FramePacket)
        library.vpx_codec_destroy.argtypes = [c_void_p]
        library.vpx_img_wrap.argtypes = [c_void_p, c_int, c_uint, c_uint, c_uint, c_void_p]
        library.vpx_img_wrap.restype = c_void_p
        for name in ("vpx_codec_vp8_cx", "vpx_codec_vp9_cx"):
            getattr(library, name).restype = c_void_p
    except (OSError, AttributeError, TypeError):
        return None
    return library


class LibvpxEncoder:
    """An encoder of pictures of one size: what libav's context is for other codecs.

    Attributes:
        width, height, pix_fmt: of the pictures.
    """

    def __init__(
        self, library: ctypes.CDLL, context: Any, configuration: _Configuration, duration: int
    ) -> None:
        self.width: int = configuration.width
        self.height: int = configuration.height
        self.pix_fmt: str = "yuv420p"
        self._library = library
        self._context = context
        self._configuration = configuration
        self._duration = duration
        self._image = _Image()
        library.vpx_img_wrap(byref(self._image), _I420, self.width, self.height, 1, byref(self._image))
        destroy = weakref.finalize(self, library.vpx_codec_destroy, context)
        destroy.atexit = False

    @property
    def bit_rate(self) -> int:
        """The bitrate that it aims at, in bit/s. It can be changed at any time, without a key frame."""
        return int(self._configuration.bitrate) * 1000

    @bit_rate.setter
    def bit_rate(self, value: int) -> None:
        kilobits = max(1, round(value / 1000))
        if kilobits != self._configuration.bitrate:
            self._configuration.bitrate = kilobits
            self._check(self._library.vpx_codec_enc_config_set(self._context, byref(self._configuration)))

    def encode(self, picture: VideoFrame) -> list[Packet[Any]]:
        """Encode a picture, as a key frame if its `pict_type` is I.

        Raises:
            OperationError: libvpx cannot.
        """
        image, library, context = self._image, self._library, self._context
        for index, plane in enumerate(picture.planes):
            image.planes[index], image.strides[index] = plane.buffer_ptr, plane.line_size
        flags = _FORCE_KEY if picture.pict_type == PictureType.I else 0
        self._check(
            library.vpx_codec_encode(context, byref(image), picture.pts, self._duration, flags, _REALTIME)
        )
        packets: list[Packet[Any]] = []
        position = c_void_p()
        while found := library.vpx_codec_get_cx_data(context, byref(position)):
            made = found.contents
            if made.kind == _FRAME_PACKET and made.sz:
                packet: Packet[Any] = Packet(ctypes.string_at(made.buf, made.sz))
                packet.pts = picture.pts
                packet.is_keyframe = bool(made.flags & _IS_KEY)
                packets.append(packet)
        return packets

    @staticmethod
    def _check(code: int) -> None:
        if code:
            raise OperationError(f"libvpx cannot encode: its error {code}")


def open_encoder(
    interface: str,
    *,
    size: tuple[int, int],
    bitrate: int,
    quantizer: tuple[int, int],
    threads: int,
    key_distance: int,
    time_base: fractions.Fraction,
    duration: int,
    controls: Mapping[int, int],
) -> LibvpxEncoder | None:
    """Open an encoder for conversation: no delay, constant bitrate.

    Args:
        interface: "vp8" or "vp9".
        size: width and height.
        bitrate: in bit/s.
        quantizer: the least and the most.
        key_distance: after so many pictures there is a key frame.
        duration: of a picture, in units of `time_base`.
        controls: values by the ids above.

    Returns:
        None where libvpx cannot be called from here, or refuses.
    """
    library = _library()
    if library is None:
        return None
    of_codec = c_void_p(getattr(library, f"vpx_codec_{interface}_cx")())
    configuration = _Configuration()
    if library.vpx_codec_enc_config_default(of_codec, byref(configuration), 0):
        return None
    configuration.threads = threads
    configuration.width, configuration.height = size
    configuration.time_numerator, configuration.time_denominator = time_base.numerator, time_base.denominator
    configuration.lag_in_frames = configuration.drop_threshold = configuration.resize_allowed = 0
    configuration.end_usage = _CBR
    configuration.bitrate = max(1, round(bitrate / 1000))
    configuration.quantizer_min, configuration.quantizer_max = quantizer
    configuration.undershoot, configuration.overshoot = _UNDERSHOOT, _OVERSHOOT
    configuration.buffer, configuration.buffer_first = _BUFFER, _BUFFER_FIRST
    configuration.buffer_aim = _BUFFER_AIM
    configuration.key_distance_max = key_distance
    context = ctypes.create_string_buffer(_SPARE)
    code = _ABI_MISMATCH
    for version in _VERSIONS:
        code = library.vpx_codec_enc_init_ver(context, of_codec, byref(configuration), 0, version)
        if code != _ABI_MISMATCH:
            break
    if code:
        return None
    encoder = LibvpxEncoder(library, context, configuration, duration)
    for name, value in {**controls, MAX_INTRA: _KEY_MAX}.items():
        # one that this version does not know makes no difference to what is sent
        library.vpx_codec_control_(context, name, c_int(value))
    return encoder

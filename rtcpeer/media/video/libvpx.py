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
from rtcpeer.media.video.layering import PATTERNS, SHARES, Buffer, LayeredPicture, LayerSequence, Step

# VPX_ENCODER_ABI_VERSION of the releases whose records were compared
_VERSIONS = (39, 37, 36, 34, 30, 25, 24, 23)
_ABI_MISMATCH = 3
_I420 = 0x102
_CBR = 1
_REALTIME = 1
_FORCE_KEY, _IS_KEY = 1, 1
# Flags of vp8cx.h: what a picture does not refer to, what it does not renew, and that it leaves the probabilities of
# symbols as they are, which whoever misses it would not have.
_NOT_USED = {Buffer.LAST: 1 << 16, Buffer.GOLDEN: 1 << 17}
_NOT_RENEWED = {Buffer.LAST: 1 << 18, Buffer.GOLDEN: 1 << 22}
_NO_ALTERNATE, _NO_ENTROPY = 1 << 21 | 1 << 23, 1 << 20
_ERROR_RESILIENT = 1
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
_VP8_LAYER, _VP9_SVC, _VP9_LAYER = 30, 39, 42
# The layers are as the flags say.
_BY_FLAGS = 1


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
        ("spatial_layers", c_uint),
        ("spatial_alternate", c_int * 5),
        ("spatial_bitrates", c_uint * 5),
        ("temporal_layers", c_uint),
        ("temporal_bitrates", c_uint * 5),
        ("temporal_dividers", c_uint * 5),
        ("temporal_period", c_uint),
        ("temporal_pattern", c_uint * 16),
        ("layer_bitrates", c_uint * 12),
        ("temporal_mode", c_int),
        ("rest", ctypes.c_char * _SPARE),
    ]


class _Layer(ctypes.Structure):
    """vpx_svc_layer_id_t; newer versions have the temporal layers of all spatial ones."""

    _fields_: ClassVar = [("spatial", c_int), ("temporal", c_int), ("temporal_of", c_int * 5)]


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
        layers: how many temporal layers there are.
        layered: the place in them of the picture encoded last; None if there is one layer.
    """

    def __init__(
        self,
        library: ctypes.CDLL,
        context: Any,
        configuration: _Configuration,
        duration: int,
        *,
        is_vp9: bool = False,
    ) -> None:
        self.width: int = configuration.width
        self.height: int = configuration.height
        self.pix_fmt: str = "yuv420p"
        self._library = library
        self._context = context
        self._configuration = configuration
        self._duration = duration
        self.layers: int = configuration.temporal_layers
        self.layered: LayeredPicture | None = None
        self._sequence = LayerSequence(self.layers) if self.layers > 1 else None
        self._is_vp9 = is_vp9
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
            _share(self._configuration)
            self._check(self._library.vpx_codec_enc_config_set(self._context, byref(self._configuration)))

    def encode(self, picture: VideoFrame) -> list[Packet[Any]]:
        """Encode a picture, as a key frame if its `pict_type` is I.

        Raises:
            OperationError: libvpx cannot.
        """
        image, library, context = self._image, self._library, self._context
        for index, plane in enumerate(picture.planes):
            image.planes[index], image.strides[index] = plane.buffer_ptr, plane.line_size
        is_forced = picture.pict_type == PictureType.I
        flags = _FORCE_KEY if is_forced else 0
        if self._sequence is not None:
            flags |= self._begin_layered(self._sequence.next(is_forced=is_forced))
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
        if self._sequence is not None and packets:
            self.layered = self._sequence.note(is_key=any(packet.is_keyframe for packet in packets))
        return packets

    def _begin_layered(self, step: Step) -> int:
        """Tell the rate control the layer of the next picture; gives the flags to encode it with."""
        if self._is_vp9:
            layer = _Layer(0, step.layer, (step.layer,))
            self._check(self._library.vpx_codec_control_(self._context, _VP9_LAYER, byref(layer)))
        else:
            self._check(self._library.vpx_codec_control_(self._context, _VP8_LAYER, c_int(step.layer)))
        used = {buffer for buffer, _age in step.uses}
        flags = _NO_ALTERNATE | (_NO_ENTROPY if step.layer else 0)
        for buffer in Buffer:
            flags |= 0 if buffer in used else _NOT_USED[buffer]
            flags |= 0 if buffer is step.renews else _NOT_RENEWED[buffer]
        return flags

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
    layers: int = 1,
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
        layers: temporal layers, up to 3.

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
    if layers > 1:
        _divide(configuration, layers)
    context = ctypes.create_string_buffer(_SPARE)
    code = _ABI_MISMATCH
    for version in _VERSIONS:
        code = library.vpx_codec_enc_init_ver(context, of_codec, byref(configuration), 0, version)
        if code != _ABI_MISMATCH:
            break
    if code:
        return None
    is_vp9 = interface == "vp9"
    encoder = LibvpxEncoder(library, context, configuration, duration, is_vp9=is_vp9)
    if layers > 1 and is_vp9 and library.vpx_codec_control_(context, _VP9_SVC, c_int(1)):
        return None
    for name, value in {**controls, MAX_INTRA: _KEY_MAX}.items():
        # one that this version does not know makes no difference to what is sent
        library.vpx_codec_control_(context, name, c_int(value))
    return encoder


def _divide(configuration: _Configuration, layers: int) -> None:
    """Have temporal layers."""
    # what follows a picture that was left out must not depend on its vectors either
    configuration.error_resilient = _ERROR_RESILIENT
    pattern = [step.layer for step in PATTERNS[layers]]
    configuration.temporal_layers, configuration.temporal_mode = layers, _BY_FLAGS
    configuration.temporal_period = len(pattern)
    for place, layer in enumerate(pattern):
        configuration.temporal_pattern[place] = layer
    for layer in range(layers):
        shown = sum(1 for other in pattern if other <= layer)
        configuration.temporal_dividers[layer] = len(pattern) // shown
    _share(configuration)


def _share(configuration: _Configuration) -> None:
    """Give each layer its part of the bitrate, if there are layers."""
    for layer, share in enumerate(SHARES.get(configuration.temporal_layers, ())):
        part = max(1, round(share * configuration.bitrate))
        configuration.temporal_bitrates[layer] = configuration.layer_bitrates[layer] = part

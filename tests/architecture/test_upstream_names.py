"""Each private or internal name of aiortc that the adapter modules rely on, one test per name.

If one of these fails, aiortc has moved: mend the adapters, nothing else knows the names.
"""

from __future__ import annotations

import ast
import ctypes
import importlib
import inspect
import sys
from pathlib import Path

import pylibsrtp
import pytest
from aiortc.codecs.h264 import H264Encoder

import rtcpeer

PACKAGE = Path(inspect.getfile(rtcpeer)).parent

MODULE_NAMES = [
    ("aiortc.codecs", "depayload"),
    ("aiortc.codecs", "get_decoder"),
    ("aiortc.jitterbuffer", "JitterFrame"),
    ("aiortc.mediastreams", "MediaStreamError"),
    ("aiortc.mediastreams", "MediaStreamTrack"),
    ("aiortc.rtcrtpparameters", "RTCRtpCodecParameters"),
    ("aiortc.rtp", "RtcpByePacket"),
    ("aiortc.rtp", "RtcpPsfbPacket"),
    ("aiortc.rtp", "RtcpRrPacket"),
    ("aiortc.rtp", "RtcpRtpfbPacket"),
    ("aiortc.rtp", "RtcpSdesPacket"),
    ("aiortc.rtp", "RtcpSrPacket"),
    ("aiortc.rtp", "clamp_packets_lost"),
    ("aiortc.rtp", "pack_remb_fci"),
    ("aiortc.rtp", "unpack_remb_fci"),
]


SRTP_FUNCTIONS = ["srtp_protect", "srtp_protect_rtcp", "srtp_unprotect", "srtp_unprotect_rtcp"]


@pytest.mark.parametrize("name", SRTP_FUNCTIONS)
def test_function_of_libsrtp(name):
    from pylibsrtp._binding import ffi, lib

    policy = pylibsrtp.Policy(key=bytes(30), ssrc_type=pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
    session = pylibsrtp.Session(policy)
    # the handle is a pointer to libsrtp's, freed with the session; packets are changed in place, with their length
    data, length = ffi.new("char[]", 64), ffi.new("int *")
    length[0] = 0
    assert getattr(lib, name)(session._srtp[0], data, length) != lib.srtp_err_status_ok
    assert lib.srtp_err_status_ok == 0


def test_functions_of_libsrtp_have_an_address():
    """The helper of forwarding calls it: see `rtp.fan_out`."""
    from rtcpeer.rtp import libsrtp

    policy = pylibsrtp.Policy(key=bytes(30), ssrc_type=pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
    protect = libsrtp.parts_protector(pylibsrtp.Session(policy))
    call = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.POINTER(ctypes.c_int))
    data, length = ctypes.create_string_buffer(b"\x80" + bytes(11), 200), ctypes.c_int(12)
    address = libsrtp.session_address(protect)
    assert call(libsrtp.protect_address())(address, data, length) == 0
    assert length.value == 12 + 10
    assert libsrtp.session_address(bytes) == 0


def test_libsrtp_shows_its_rollover_counters():
    """Not to cffi, and where its library hides them nothing is found: see `rtp.libsrtp`."""
    from rtcpeer.rtp import libsrtp

    if sys.platform == "win32":
        pytest.skip("an extension module shows no names of its libraries there")
    assert libsrtp._rollover_functions() is not None


def test_errors_of_libsrtp_have_names():
    assert "authentication failure" in pylibsrtp.ERRORS


@pytest.mark.parametrize(("module", "name"), MODULE_NAMES)
def test_name_of_a_module(module, name):
    assert hasattr(importlib.import_module(module), name)


def test_the_packetizer_of_h264():
    assert H264Encoder._packetize([b"\x65picture"]) == [b"\x65picture"]


ADAPTERS = {
    "media/aiortc_adapter.py",
    "media/exceptions.py",
    "rtp/rtcp.py",
}
DOCUMENTED = {"aiortc.exceptions", "aiortc.rtcrtpparameters"}


def test_only_the_adapters_know_aiortc():
    """Other modules, but for the drop-in, import nothing but aiortc's documented names."""
    strangers = {}
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).as_posix()
        if name in ADAPTERS or name.startswith("aiortc/"):
            continue
        imported = {
            node.module
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "aiortc"
        }
        if imported - DOCUMENTED:
            strangers[name] = imported

    assert not strangers

"""Each private or internal name of aiortc that the adapter modules rely on, one test per name.

If one of these fails, aiortc has moved: mend the adapters, nothing else knows the names.
"""

from __future__ import annotations

import ast
import asyncio
import importlib
import inspect
from pathlib import Path

import pylibsrtp
import pytest
from aiortc import rtcsctptransport
from aiortc.codecs.h264 import H264Encoder
from aiortc.rtcsctptransport import RTCSctpTransport

import rtcpeer

PACKAGE = Path(inspect.getfile(rtcpeer)).parent

SCTP_METHODS = {
    # name: whether it is a coroutine function (we override it with something that returns a done future)
    "_handle_data": True,
    "_receive": True,
    "_receive_chunk": True,
    "_send_chunk": True,
    "_send_sack": True,
    "_send_reconfig_param": True,
    "_transmit_reconfig": True,
    "_abort": True,
    "_data_channel_flush": True,
    "_data_channel_close": False,
    "_data_channel_closed": False,
    "_data_channel_reset": False,
    "_set_state": False,
    "_get_inbound_stream": False,
    "_mark_received": False,
    "_reset_deferred_streams": True,
    "_t1_expired": False,
    "start": True,
    "stop": True,
}

SCTP_ATTRIBUTES = [
    "_advertised_rwnd",
    "_association_state",
    "_data_channel_inbound_reset",
    "_data_channel_outbound_reset",
    "_data_channels",
    "_inbound_streams",
    "_last_received_tsn",
    "_local_port",
    "_local_tsn",
    "_local_verification_tag",
    "_loop",
    "_outbound_stream_seq",
    "_reconfig_deferred",
    "_reconfig_handle",
    "_reconfig_queue",
    "_reconfig_request",
    "_remote_partial_reliability",
    "_remote_port",
    "_remote_verification_tag",
    "_rto",
    "_sack_duplicates",
    "_sack_misordered",
    "_sack_needed",
    "_t1_chunk",
    "_t1_handle",
    "_t3_handle",
    "maxChannels",
]

MODULE_NAMES = [
    ("aiortc.rtcsctptransport", "parse_packet"),
    ("aiortc.rtcsctptransport", "serialize_packet"),
    ("aiortc.rtcsctptransport", "InboundStream"),
    ("aiortc.rtcsctptransport", "SCTP_DATA_LAST_FRAG"),
    ("aiortc.rtcsctptransport", "InitChunk"),
    ("aiortc.rtcsctptransport", "DataChunk"),
    ("aiortc.rtcsctptransport", "AbortChunk"),
    ("aiortc.rtcsctptransport", "SackChunk"),
    ("aiortc.rtcsctptransport", "ForwardTsnChunk"),
    ("aiortc.codecs", "depayload"),
    ("aiortc.codecs", "get_decoder"),
    ("aiortc.jitterbuffer", "JitterFrame"),
    ("aiortc.mediastreams", "MediaStreamError"),
    ("aiortc.mediastreams", "MediaStreamTrack"),
    ("aiortc.rate", "RemoteBitrateEstimator"),
    ("aiortc.rtcrtpparameters", "RTCRtpCodecParameters"),
    ("aiortc.rtp", "RtcpPacket"),
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


def test_errors_of_libsrtp_have_names():
    assert "authentication failure" in pylibsrtp.ERRORS


class Transport:
    state = "connected"
    _role = "client"


@pytest.fixture
async def association():
    transport = RTCSctpTransport(Transport(), 5000)  # type: ignore[arg-type]
    assert transport._loop is asyncio.get_running_loop()
    return transport


@pytest.mark.parametrize(("name", "is_coroutine"), SCTP_METHODS.items())
def test_method_of_the_association(name, is_coroutine):
    method = getattr(RTCSctpTransport, name)

    assert inspect.iscoroutinefunction(method) is is_coroutine


@pytest.mark.parametrize("name", SCTP_ATTRIBUTES)
async def test_attribute_of_the_association(association, name):
    assert hasattr(association, name)


@pytest.mark.parametrize(("module", "name"), MODULE_NAMES)
def test_name_of_a_module(module, name):
    assert hasattr(importlib.import_module(module), name)


def test_the_packetizer_of_h264():
    assert H264Encoder._packetize([b"\x65picture"]) == [b"\x65picture"]


@pytest.mark.parametrize(
    "name",
    [
        "tsn",
        "stream_id",
        "stream_seq",
        "protocol",
        "user_data",
        "flags",
    ],
)
def test_attribute_of_a_data_chunk(name):
    chunk = rtcsctptransport.DataChunk()

    assert hasattr(chunk, name) or name in rtcsctptransport.DataChunk.__annotations__


def test_reassembly_is_a_list_of_chunks():
    stream = rtcsctptransport.InboundStream()
    stream.add_chunk(chunk := rtcsctptransport.DataChunk())

    assert stream.reassembly == [chunk]


async def test_the_window_of_the_other_end_is_kept_where_it_was(association):
    init = rtcsctptransport.InitChunk()
    init.advertised_rwnd, init.outbound_streams, init.inbound_streams = 123_456, 10, 10
    association._send_chunk = lambda chunk: asyncio.sleep(0)

    await association._receive_chunk(init)

    assert association._ssthresh == 123_456


def test_states_of_the_association():
    assert {"CLOSED", "ESTABLISHED"} <= set(RTCSctpTransport.State.__members__)


def test_chunk_parameters_are_pairs():
    chunk = rtcsctptransport.AbortChunk()
    chunk.params.append((12, b""))

    assert rtcsctptransport.AbortChunk(body=bytes(chunk)[4:]).params == [(12, b"")]


ADAPTERS = {
    "media/aiortc_adapter.py",
    "media/exceptions.py",
    "rtp/rtcp.py",
    "sctp/aiortc_association.py",
    "sctp/aiortc_parts.py",
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

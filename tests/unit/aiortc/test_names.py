"""Every name that programs import from aiortc is there, at the top and in the modules of the same names."""

import importlib
import inspect
import pkgutil

import aiortc
import pytest

import rtcpeer
from rtcpeer import aiortc as dropin

# of aiortc's modules, those that are parts of its machinery
INSIDE = {"clock", "codecs", "events", "rate", "rtp", "utils"}
MODULES = sorted(m.name for m in pkgutil.iter_modules(aiortc.__path__) if m.name not in INSIDE | {"contrib"})
CONTRIB = ("media", "signaling")
OURS = {
    "RTCDataChannel",
    "RTCDtlsTransport",
    "RTCIceGatherer",
    "RTCIceTransport",
    "RTCPeerConnection",
    "RTCRtpReceiver",
    "RTCRtpSender",
    "RTCRtpTransceiver",
    "RTCSctpTransport",
}
MEDIA = {"MediaPlayer", "MediaRecorder", "MediaRelay"}

# what aiortc 1.14 lacks and the drop-in has all the same
SINCE_1_15 = {"RTCIceTransportPolicy"}


def test_the_top_level():
    assert set(dropin.__all__) - set(aiortc.__all__) - SINCE_1_15 == {
        "GatheringPatience",
        "contrib",
        "replace_aiortc",
    }
    assert set(aiortc.__all__) <= set(dropin.__all__)
    # also what is there without being in __all__, such as aiortc.sdp
    assert set(dir(aiortc)) - set(dir(dropin)) <= INSIDE | {"logging"}
    for name in dropin.__all__:
        assert hasattr(dropin, name)
    for name in aiortc.__all__:
        assert (getattr(dropin, name) is getattr(aiortc, name)) is (name not in OURS)
    assert dropin.__version__ == aiortc.__version__


@pytest.mark.parametrize("name", MODULES + [f"contrib.{name}" for name in CONTRIB])
def test_a_module(name):
    theirs = importlib.import_module(f"aiortc.{name}")
    ours = importlib.import_module(f"rtcpeer.aiortc.{name}")
    for item in ours.__all__:
        if item in MEDIA:
            assert getattr(ours, item).__module__.startswith("rtcpeer.")
        elif item in OURS:
            assert getattr(ours, item) is getattr(dropin, item)
        elif item not in SINCE_1_15 or hasattr(theirs, item):
            assert getattr(ours, item) is getattr(theirs, item)
    documented = {
        item
        for item, value in vars(theirs).items()
        if inspect.isclass(value)
        and value.__module__ == theirs.__name__
        and item.startswith(("RTC", "Media"))
    }
    # parts of their own sender and recorder
    assert documented - {"RTCEncodedFrame", "MediaRecorderContext"} <= set(ours.__all__)


@pytest.mark.parametrize("name", sorted(OURS))
def test_what_is_ours_is_kin_of_rtcpeers(name):
    ours = getattr(dropin, name)
    assert name == "RTCIceGatherer" or issubclass(ours, getattr(rtcpeer, name))
    public = {item for item in vars(getattr(aiortc, name)) if not item.startswith("_")}
    # the ORTC way of putting transports together, which a connection does for itself
    ortc = {"start", "stop", "addRemoteCandidate", "gather", "send", "receive", "setTransport"}
    ortc |= {"getDefaultIceServers", "State", "is_server", "port"}
    assert public - set(dir(ours)) <= ortc

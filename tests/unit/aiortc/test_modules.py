"""aiortc's modules under our name, and our modules under aiortc's."""

import importlib
import pkgutil
import subprocess
import sys

import aiortc

from rtcpeer import aiortc as dropin

MODULES = [m.name.partition(".")[2] for m in pkgutil.walk_packages(aiortc.__path__, "aiortc.")]


def test_every_name_of_every_module_can_be_imported_under_ours():
    for name in MODULES:
        theirs = importlib.import_module(f"aiortc.{name}")
        ours = importlib.import_module(f"rtcpeer.aiortc.{name}")
        assert {n for n in vars(theirs) if not n.startswith("__")} - set(vars(ours)) == set()


def test_what_is_aiortcs_alone_is_the_same_object():
    for name in ("codecs", "codecs.h264", "rtp", "utils", "rate", "clock"):
        assert importlib.import_module(f"rtcpeer.aiortc.{name}") is importlib.import_module(f"aiortc.{name}")
    assert dropin.codecs.vpx.MAX_BITRATE == 1_500_000
    assert dropin.rtcsctptransport.USERDATA_MAX_LENGTH == aiortc.rtcsctptransport.USERDATA_MAX_LENGTH


def _run(*arguments):
    return subprocess.run(
        [sys.executable, *arguments], check=True, capture_output=True, text=True
    ).stdout.split()


def test_a_program_that_is_not_changed(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import sys, helper, aiortc.codecs.h264\n"
        "from aiortc.contrib.media import MediaPlayer\n"
        "from aiortc.mediastreams import MediaStreamTrack\n"
        "import rtcpeer.media.player\n"
        "print(helper.RTCPeerConnection.__module__, MediaPlayer.__module__, MediaStreamTrack.__module__)\n"
        "print(__name__, *sys.argv[1:])\n"
    )
    (tmp_path / "helper.py").write_text("from aiortc import RTCPeerConnection\n")
    shown = ["rtcpeer.aiortc.connection", "rtcpeer.aiortc.contrib.media", "aiortc.mediastreams"]
    assert _run("-m", "rtcpeer.aiortc", str(program), "--port", "1") == [*shown, "__main__", "--port", "1"]

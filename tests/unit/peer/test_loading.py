"""What a connection for data alone does not load: libav, aiortc and the codecs take longer than everything else."""

import subprocess
import sys

PROGRAM = """
import asyncio, sys
import rtcpeer

LATER = ("av", "aiortc", "dns", "service_identity", "rtcpeer.media.codecs", "rtcpeer.rtp.session")

async def main():
    pc = rtcpeer.RTCPeerConnection()
    pc.createDataChannel("data")
    await pc.setLocalDescription()
    assert "m=application" in pc.localDescription.sdp
    assert not [name for name in LATER if name in sys.modules], sorted(sys.modules)
    pc.addTransceiver("audio")
    assert "av" in sys.modules
    await pc.close()
    import aiortc
    try:
        pc.createDataChannel("more")
    except aiortc.InvalidStateError as error:
        assert isinstance(error, rtcpeer.InvalidStateError)
    else:
        raise AssertionError("a closed connection made a channel")

asyncio.run(main())
"""


def test_data_alone_loads_no_media_and_its_errors_are_those_of_aiortc_once_that_is_there():
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, timeout=60)

"""What a program puts together by hand is aiortc's own."""

import aiortc

from rtcpeer import aiortc as dropin


async def test_transports_senders_and_receivers():
    ice = dropin.RTCIceTransport(dropin.RTCIceGatherer())
    dtls = dropin.RTCDtlsTransport(ice, [dropin.RTCCertificate.generateCertificate()])
    sctp = dropin.RTCSctpTransport(dtls)
    sender, receiver = dropin.RTCRtpSender("audio", dtls), dropin.RTCRtpReceiver("audio", dtls)
    made = {
        "RTCIceGatherer": ice.iceGatherer,
        "RTCIceTransport": ice,
        "RTCDtlsTransport": dtls,
        "RTCSctpTransport": sctp,
        "RTCRtpSender": sender,
        "RTCRtpReceiver": receiver,
        "RTCRtpTransceiver": dropin.RTCRtpTransceiver("audio", receiver, sender),
        "RTCDataChannel": dropin.RTCDataChannel(
            sctp, dropin.RTCDataChannelParameters(label="chat", id=1), False
        ),
    }
    for name, one in made.items():
        assert type(one) is getattr(aiortc, name)
    assert dropin.RTCIceGatherer.getDefaultIceServers() == aiortc.RTCIceGatherer.getDefaultIceServers()

"""The session behind an RTCPeerConnection: it owns everything that runs, and carries out the engine's plans.

In reading order: `session` (the algorithms of webrtc-pc 4.4), `executor` (plans become objects and events), `transport`
(an ICE agent with its DTLS), `data_channels`; `stats_collector`; `diagnosis` and `explain` (why
it is so).
"""

"""The W3C face: `RTCPeerConnection` and the objects that it gives, each a thin view over what `session` owns.

In reading order: `connection`, `awaiting` (what Python adds), `descriptions`, `dictionaries` and `keywords`
(arguments), `parameters`, `rtp` and `rtp_sender`, `transports` and `ice_transport`, `data_channel` and `messages`,
`dtmf`, `certificate`, `stats`, `forwarder`; `events` and `listening` (their types), `errors`, `settings`,
`negotiatorlink` (who negotiates). Programs import from `rtcpeer`.
"""

"""The W3C face: `RTCPeerConnection` and the objects that it gives, each a thin view over what stands behind it.

In reading order: `connection`, `awaiting` (waiting with a reason), `descriptions`, `dictionaries` and `keywords`
(arguments), `parameters`, `rtp` and `rtp_sender`, `transports` and `ice_transport` with `transport_owner`,
`data_channel` and `messages`, `dtmf`, `certificate`, `stats`, `forwarder`; `events`, `listening` and
`connection_listening` (their types), `errors`, `settings`, `negotiator_link` (who negotiates). Behind the faces stands
the package `core`, and above both the package `session`, which makes the objects and owns what runs. Programs import
from `rtcpeer`.
"""

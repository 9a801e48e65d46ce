"""Signaling over HTTP: WHIP (RFC 9725), WHEP (draft-ietf-wish-whep) and single offers.

In reading order: `fragment`, `headers`, `statuses`, `sites` and `limits` (pure); for clients `requester`,
`whip_client` and `sdp_client`; for servers `whip_session`, `listening`, `session_server`, `whip_server` and
`offer_server`. Users import from `rtcpeer.signaling`.
"""

"""Signaling over HTTP: WHIP (RFC 9725), WHEP (draft-ietf-wish-whep) and single offers.

In reading order: `fragment`, `headers`, `statuses` and `limits` (pure), `whip_client`, `whip_session`, `whip_server`,
then `offer_server` and `sdp_client`. Users import from `rtcpeer.signaling`.
"""

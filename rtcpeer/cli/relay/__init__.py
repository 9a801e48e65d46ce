"""``rtcpeer relay``: WHIP in, WHEP out, without decoding. In reading order: `broadcast`, `relay`, and the page."""

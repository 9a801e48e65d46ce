"""``rtcpeer relay``: WHIP in, WHEP out, without decoding.

In reading order: `broadcast`, `upstream`, `table`, `relay`, and the page.
"""

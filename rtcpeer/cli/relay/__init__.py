"""``rtcpeer relay``: WHIP in, WHEP out, without decoding.

In reading order: `broadcast`, `upstream`, `relay`, and the page.
"""

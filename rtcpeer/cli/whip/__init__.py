"""``rtcpeer whip`` and ``rtcpeer whep``: a file or device to a media server, and from one into a file.

In reading order: `call` (what both have in common), `publish`, `play`.
"""

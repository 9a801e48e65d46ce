"""``rtcpeer report``: a page with pictures of a call, made of a dump.

In reading order: `run`, `dump`, `page`, `chart`.
"""

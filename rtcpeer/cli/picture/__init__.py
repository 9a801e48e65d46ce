"""``rtcpeer report``: a page with pictures of a call, made of a dump.

In reading order: `run`, `dump`, `story` (states and troubles), `curves` (which charts there are), `chart`, `page`. The
folder ``uplot`` has the library that draws.
"""

"""``rtcpeer serve``: the main job with a browser.

In reading order: `serve`, `bot` (one call), `relays`, and the page.
"""

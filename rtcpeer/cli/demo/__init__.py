"""``rtcpeer demo``: the main job without a browser.

In reading order: `demo`, `party` (one of its two peers), `numbers` and `observer` (what is sent, what is seen),
`timeline` (what was promised, what happened).
"""

"""What LiveKit's clients and servers say to each other, for `rtcpeer.calls.livekit` and `rtcpeer.testing.livekit`.

In reading order: `tokens` (access tokens), `messages` (requests to join, protobuf messages, candidates, descriptions).
Needs the extra ``rtcpeer[livekit]``: LiveKit's own protobuf messages, aiohttp and PyJWT.
"""

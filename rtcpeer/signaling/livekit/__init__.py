"""Messages between LiveKit's clients and servers, for `rtcpeer.calls.livekit` and `rtcpeer.testing.livekit`.

In reading order: `tokens` (access tokens), `messages` (requests to join, protobuf messages, candidates,
descriptions), `early` (candidates before their description).
Needs the extra ``rtcpeer[livekit]``: LiveKit's own protobuf messages, aiohttp and PyJWT.
"""

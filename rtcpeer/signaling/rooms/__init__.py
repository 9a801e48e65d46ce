"""Rooms: members find each other by the name of a room, and each other member is a signaling channel.

In reading order: `wire` (the frames; docs/rooms-wire.md), `tokens` (who is who), `state` (who is in a room, without
sockets), `backend` (where it is kept) and `redis` (in several processes); `socket` and `server`, with `statistics`; for
clients `link`, `member` and `client`.
"""

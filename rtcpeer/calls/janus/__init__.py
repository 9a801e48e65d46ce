"""Plugins of Janus as calls: "janus+ws://host:8188/".

In reading order: `session` (its WebSocket), `channels` (signaling by a handle), `plugin` (what all have in common);
`subscriptions` (what is published beside what is subscribed to), `subscriber` (the receiving half of a room) and
`videoroom`; `textroom`, `streaming`, `echo`; `services` chooses by the URL.
"""

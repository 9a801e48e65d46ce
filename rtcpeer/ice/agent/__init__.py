"""The ICE agent on asyncio: sockets, one timer and the core.

In reading order: `agent`, `listener` (what it reports, and to whom); `parts`, `gathering` and `gathering_session`;
`sockets`, `pool` and `tcp` (where datagrams leave and arrive); `relay` and `allocation` (TURN),
`stun_over_dtls`; `remote_candidates` (which are taken); `stats`, `log`.
"""

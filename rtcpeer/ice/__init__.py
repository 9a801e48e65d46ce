"""ICE without I/O (RFC 8445): datagrams, commands and the time go in; datagrams, events and one timer come out.

In reading order: `settings`; `candidates` (ours), `pair` (records of checks); `pairing` and
`checklist` (which pairs there are, which is checked next), `transactions` and `early_checks` (requests that are open,
or came too early); `nomination` and `consent` (which pair is used, whether it lives); `demux` (whose a datagram is);
`context` and `generation` (one life of credentials), `states`, `events`, `core` (all generations together). The package
`agent` puts it on asyncio.
"""

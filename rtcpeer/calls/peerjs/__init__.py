"""PeerJS: data connections and media calls by way of a PeerServer.

In reading order: `link` (the WebSocket of the server), `binarypack` and `serialization` (what messages carry),
`connections`, `peer` (who has them), `service` (as calls).
"""

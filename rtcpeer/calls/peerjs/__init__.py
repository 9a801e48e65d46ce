"""PeerJS: `peer` (connections by way of a PeerServer) with `binarypack`, and `service` (as calls)."""

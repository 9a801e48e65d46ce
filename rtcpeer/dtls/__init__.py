"""DTLS: flights and records, the peer's transport, certificates, verification of servers."""

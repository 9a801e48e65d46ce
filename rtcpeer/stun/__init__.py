"""STUN (RFC 8489), without I/O but for the query.

In reading order: `message` (what is on the wire), `credentials` (long-term credentials), `query` (which address do you
see).
"""

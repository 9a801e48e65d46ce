"""DTLS (RFC 6347) over any pipe of datagrams, on OpenSSL.

In reading order: `interfaces` (what is below, above and beside it), `certificates`, `records` and `openssl` (records
in and out), `flight` and `handshake_filter` (what is sent again, what is let in), `handshake`, `transport` (the
association of a connection); for STUN and TURN servers `trust` and `client`.
"""

"""STUN (RFC 8489): messages, the binding query, long-term credentials."""

"""TURN (RFC 8656): the client without I/O. In reading order: `client`, `framing` (messages in a stream)."""

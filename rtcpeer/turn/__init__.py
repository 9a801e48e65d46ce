"""TURN (RFC 8656): the client without I/O, and the framing of its streams."""

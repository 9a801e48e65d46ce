"""ICE without I/O (RFC 8445)."""

"""The session behind the W3C face."""

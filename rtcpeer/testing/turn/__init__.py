"""The STUN and TURN server for tests."""

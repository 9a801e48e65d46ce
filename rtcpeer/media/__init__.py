"""Tracks, senders, receivers, codecs."""

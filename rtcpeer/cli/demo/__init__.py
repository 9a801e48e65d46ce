"""`rtcpeer demo`."""

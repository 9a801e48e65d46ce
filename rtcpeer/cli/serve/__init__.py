"""`rtcpeer serve`."""

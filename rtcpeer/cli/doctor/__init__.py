"""`rtcpeer doctor`."""

"""The command ``rtcpeer report``: a page with pictures of a call, made of a dump."""

"""RTP and RTCP."""

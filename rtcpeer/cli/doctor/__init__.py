"""``rtcpeer doctor``: what is wrong with STUN and TURN servers, in sentences.

In reading order: `doctor` (the command), `run` (all servers at once), `context`, `stun_check`, `turn_check` with
`allocation` and `udp_socket`, `clock` (what time it is there), `verdicts`.
"""

"""The STUN and TURN server for tests.

In reading order: `server`, `settings` (faults and counters), `service` (what each request gets), `allocation`, `auth`,
`stun`, `dtls`.
"""

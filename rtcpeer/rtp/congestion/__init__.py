"""Congestion control of one transport: feedback about every packet, an estimate of what the path bears, pacing.

The extension and the feedback are those of draft-holmer-rmcat-transport-wide-cc-extensions-01, the estimate follows
draft-ietf-rmcat-gcc-02. In reading order: `feedback` (the bytes), `arrivals` and `receiving` (the receiver's part),
`history`, `delay`, `probing`, `rate` and `sending` (the sender's part), `receive_side` (for senders that only know
REMB), `pacing`, `repeats` (how much is sent again), `prober`. Pure but for the timers of `receiving`, `pacing` and
`prober`.
"""

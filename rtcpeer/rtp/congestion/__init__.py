"""Congestion control of one transport: feedback about every packet, an estimate of what the path bears, pacing.

The extension and the feedback are those of draft-holmer-rmcat-transport-wide-cc-extensions-01, the estimate follows
draft-ietf-rmcat-gcc-02. Pure but for the timers of `control`.
"""

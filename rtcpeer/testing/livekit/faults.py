"""Faults that the LiveKit test server makes when it is told to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class LiveKitFaults:
    """Faults of the test server; they may be changed while it runs.

    Attributes:
        refuse: the HTTP status with which the next clients are refused; None: they are let in.
        refusals: how many are refused before all are let in again; None: all.
        silent: a socket is opened and then nothing is said.
        without_v1: ``/rtc/v1`` does not exist, as with older servers.
        ignore_pings: pings are not answered.
        refuse_resume: a resume is answered with "begin anew", as by a server that has forgotten the session.
        first: bytes that are sent in place of the first message.
    """

    refuse: int | None = None
    refusals: int | None = None
    silent: bool = False
    without_v1: bool = False
    ignore_pings: bool = False
    refuse_resume: bool = False
    first: bytes | None = None

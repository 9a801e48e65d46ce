"""``rtcpeer doctor``: what is wrong with STUN and TURN servers, in sentences; and what is installed here.

In reading order: `doctor` (the command), `run` (all servers at once), `context`, `stun_check`, `turn_check` with
`allocation` and `udp_socket`, `clock` (what time it is there), `verdicts`; `installation`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtcpeer.lazy import lazy_names

__all__ = ["read_servers", "run_doctor"]

if TYPE_CHECKING:
    from rtcpeer.cli.doctor.doctor import read_servers, run_doctor
else:
    __getattr__, __dir__ = lazy_names(__name__, {"rtcpeer.cli.doctor.doctor": ("read_servers", "run_doctor")})

"""Random numbers and identifiers for the engine, outside of tests."""

from __future__ import annotations

import secrets
import uuid

from rtcpeer.ice.candidates import new_credentials
from rtcpeer.values import IceParameters


class SystemEntropy:
    """The system's randomness. Implements `rtcpeer.jsep.operations.Entropy`."""

    def session_id(self) -> int:
        """62 random bits."""
        return secrets.randbits(62)

    def ice_parameters(self) -> IceParameters:
        """Fresh credentials."""
        return new_credentials()

    def ssrc(self) -> int:
        """A random SSRC."""
        return secrets.randbelow(0xFFFFFFFF) + 1

    def identifier(self) -> str:
        """A random UUID."""
        return str(uuid.uuid4())

"""Authentication of the test server: long-term credentials, nonces, refusals (RFC 8489 section 9.2).

Owns: the nonce key and epoch.  Never: an allocation.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets

from rtcpeer.testing.clock import wall_time
from rtcpeer.testing.turn.settings import TurnFaults, TurnSettings
from rtcpeer.testing.turn.stun import Attribute, ServerStunMessage, long_term_key

REASONS = {
    300: "Try Alternate", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden",
    420: "Unknown Attribute", 437: "Allocation Mismatch", 438: "Stale Nonce",
    440: "Address Family not Supported", 441: "Wrong Credentials", 442: "Unsupported Transport Protocol",
    443: "Peer Address Family Mismatch", 486: "Allocation Quota Reached", 500: "Server Error",
    508: "Insufficient Capacity",
}  # fmt: skip


class Refusal(Exception):
    """A request gets an error response."""

    def __init__(self, code: int, reason: str | None = None, *, challenge: bool = False) -> None:
        self.code = code
        self.reason: str = reason or REASONS.get(code, "Error")
        # whether realm and nonce are told (401, 438)
        self.challenge = challenge
        self.attributes: list[tuple[int, bytes]] = []


class Authenticator:
    """Checks requests against the settings in force (RFC 8489 section 9.2.4)."""

    def __init__(self, settings: TurnSettings, faults: TurnFaults) -> None:
        self._settings = settings
        self._faults = faults
        self._loop = asyncio.get_running_loop()
        self._nonce_key = secrets.token_bytes(16)
        self._nonce_epoch = 0
        self._authenticated = 0

    def change_nonce(self) -> None:
        """Make all nonces that were given so far stale."""
        self._nonce_epoch += 1

    def authenticate(self, request: ServerStunMessage) -> tuple[str, bytes]:
        """The user of a request, and the key that its answer is signed with.

        Raises:
            Refusal: 400, 401 or 438.
        """
        if request.get(Attribute.MESSAGE_INTEGRITY) is None:
            raise Refusal(401, challenge=True)
        username = request.get_text(Attribute.USERNAME)
        realm = request.get_text(Attribute.REALM)
        nonce = request.get(Attribute.NONCE)
        if username is None or realm is None or nonce is None:
            raise Refusal(400)
        if not self._is_fresh(nonce):
            raise Refusal(438, challenge=True)
        password = self._settings.password_of(username, wall_time())
        if password is None:
            raise Refusal(401, challenge=True)
        key = long_term_key(username, self._settings.realm, password)
        if not request.is_signed_with(key):
            raise Refusal(401, challenge=True)
        self._authenticated += 1
        every = self._faults.stale_nonce_every
        if every > 0 and self._authenticated % every == 0:
            self.change_nonce()
            raise Refusal(438, challenge=True)
        return username, key

    def make_nonce(self) -> bytes:
        """A fresh nonce; it says itself when it was made."""
        stamp = f"{self._nonce_epoch:x}.{int(self._loop.time() * 1000):x}"
        return f"{stamp}.{self._nonce_tag(stamp)}".encode()

    def _is_fresh(self, nonce: bytes) -> bool:
        stamp, _, tag = nonce.decode(errors="replace").rpartition(".")
        if not hmac.compare_digest(tag.encode(), self._nonce_tag(stamp).encode()):
            return False
        epoch, made = (int(part, 16) for part in stamp.split("."))
        age = self._loop.time() - made / 1000
        return epoch == self._nonce_epoch and age <= self._settings.nonce_lifetime

    def _nonce_tag(self, stamp: str) -> str:
        return hmac.digest(self._nonce_key, stamp.encode(), "sha256")[:8].hex()

"""Long-term credentials, the client's side (RFC 8489 section 9.2).

Owns: user, realm, nonce and the key made of them; which challenges make sense to answer, which messages to believe.
Pure.
"""

from __future__ import annotations

from rtcpeer.stun import message as stun
from rtcpeer.stun.message import StunMessage

# How often one request is asked to come again with the newest nonce before the server counts as never content.
_MAX_CHALLENGES = 4
# How often one request that was sent with an older nonce is sent again: others may renew the nonce meanwhile.
_MAX_OUTDATED = 16


class Attempts:
    """The attempts at one request so far, as far as nonces go.

    Attributes:
        nonce: the one that it was last sent with; None before that.
        challenges: how often it was refused although its nonce was the newest one we knew.
        outdated: how often it was refused with a nonce that another request had renewed already.
    """

    __slots__ = ("challenges", "nonce", "outdated")

    def __init__(self) -> None:
        self.nonce: bytes | None = None
        self.challenges = 0
        self.outdated = 0


class LongTermCredentials:
    """Towards one server.

    Attributes:
        key: what requests are signed with; None before the server has told its realm.
        nonce: the newest one; empty before the server has told one.
        attributes: what requests carry, encoded; empty before that.
    """

    __slots__ = ("_password", "_realm", "_username", "attributes", "key", "nonce")

    def __init__(self, username: str, password: str) -> None:
        self._username = username
        self._password = password
        self._realm = ""
        self.nonce = b""
        self.key: bytes | None = None
        self.attributes = b""

    def believe_success(self, message: StunMessage) -> bool:
        """Whether a success response is the server's."""
        return self.key is None or message.authentic(self.key)

    def believe_error(self, message: StunMessage) -> bool:
        """Servers sign errors or not; a signed one must be right."""
        signed = stun.MESSAGE_INTEGRITY in message.attributes
        return not signed or self.key is None or message.authentic(self.key)

    def accept_challenge(self, code: int, message: StunMessage, attempts: Attempts) -> bool:
        """RFC 8489 9.2.5: whether it makes sense to send a request again, with what the server said.

        A nonce that went stale meets every request that is under way. One that was sent with an older nonce than
        the newest is sent again as it is; only a refusal of the newest nonce says something about the server.

        Args:
            code: 401 or 438; some servers say 401 with a new nonce where 438 belongs.
            message: the error response.
            attempts: of the request that it answers.
        """
        nonce = message.attributes.get(stun.NONCE)
        if nonce is None or not self._username:
            return False
        if attempts.nonce != self.nonce:
            attempts.outdated += 1
            return attempts.outdated <= _MAX_OUTDATED
        attempts.challenges += 1
        if attempts.challenges > _MAX_CHALLENGES:
            return False
        if code == 401 and self.key is not None and (nonce == self.nonce or attempts.challenges > 2):
            return False
        self._renew(nonce, message.text(stun.REALM))
        return True

    def _renew(self, nonce: bytes, realm: str) -> None:
        self.nonce = nonce
        self._realm = realm or self._realm
        self.key = stun.long_term_key(self._username, self._realm, self._password)
        self.attributes = (
            stun.attribute(stun.USERNAME, self._username.encode())
            + stun.attribute(stun.REALM, self._realm.encode())
            + stun.attribute(stun.NONCE, nonce)
        )

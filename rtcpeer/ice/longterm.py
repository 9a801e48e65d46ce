"""Long-term credentials, the client's side (RFC 8489 section 9.2).

Owns: user, realm, nonce and the key made of them; which challenges make sense to answer, which messages to believe.
Pure.
"""

from __future__ import annotations

from rtcpeer.ice import stun
from rtcpeer.ice.stun import Message

# Stale nonces and challenges in a row before we believe that the server will never be content.
_MAX_CHALLENGES = 4


class LongTermCredentials:
    """Towards one server.

    Attributes:
        key: what requests are signed with; None before the server has told its realm.
        attributes: what requests carry, encoded; empty before that.
    """

    __slots__ = ("_challenges", "_nonce", "_password", "_realm", "_username", "attributes", "key")

    def __init__(self, username: str, password: str) -> None:
        self._username = username
        self._password = password
        self._realm = ""
        self._nonce = b""
        self._challenges = 0
        self.key: bytes | None = None
        self.attributes = b""

    def believe_success(self, message: Message) -> bool:
        """Whether a success response is the server's; if so, it is content for now."""
        if self.key is not None and not message.authentic(self.key):
            return False
        self._challenges = 0
        return True

    def believe_error(self, message: Message) -> bool:
        """Servers sign errors or not; a signed one must be right."""
        signed = stun.MESSAGE_INTEGRITY in message.attributes
        return not signed or self.key is None or message.authentic(self.key)

    def accept_challenge(self, code: int, message: Message) -> bool:
        """RFC 8489 9.2.5: whether it makes sense to ask again with what the server said."""
        realm, nonce = message.text(stun.REALM), message.attributes.get(stun.NONCE)
        self._challenges += 1
        if nonce is None or self._challenges > _MAX_CHALLENGES or not self._username:
            return False
        if code == 401 and self.key is not None and (nonce == self._nonce or self._challenges > 2):
            return False
        self._nonce = nonce
        self._realm = realm or self._realm
        self.key = stun.long_term_key(self._username, self._realm, self._password)
        self.attributes = (
            stun.attribute(stun.USERNAME, self._username.encode())
            + stun.attribute(stun.REALM, self._realm.encode())
            + stun.attribute(stun.NONCE, nonce)
        )
        return True

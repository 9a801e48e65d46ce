"""Filter for the unencrypted records of a DTLS handshake: only what can belong to it reaches OpenSSL.

Anybody who can forge the other end's address can send unencrypted records, and OpenSSL ends a handshake over most
of them: an alert, a message out of order, a fragment that promises another length, a sequence number from the end of
the replay window.  So messages are put together here (RFC 6347 section 4.2.3), and given on whole, in order, once,
each as one record with a number of our own: the record header is not part of what Finished proves (section 4.2.6).

Encrypted records pass as they are: OpenSSL drops those that do not authenticate.

Owns: messages that are not whole yet, bounded.  Never: OpenSSL, time, sockets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field

from rtcpeer.dtls.records import RECORD_HEADER
from rtcpeer.records import record

CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA = 20, 21, 22, 23
# RFC 5246 section 7.4, RFC 6347 section 4.3.2
CLIENT_HELLO, SERVER_HELLO, HELLO_VERIFY_REQUEST = 1, 2, 3
CERTIFICATE, SERVER_HELLO_DONE, CERTIFICATE_VERIFY = 11, 14, 15
# What a client that shows a certificate sends in the clear; the place is the message's number.
_CLIENT_MESSAGES = (CLIENT_HELLO, CERTIFICATE, 16, CERTIFICATE_VERIFY)
# What a server sends in the clear, in this order, some of it optional: Certificate, CertificateStatus,
# ServerKeyExchange, CertificateRequest, ServerHelloDone.
_SERVER_MESSAGES = (CERTIFICATE, 22, 12, 13, SERVER_HELLO_DONE)
_MESSAGE_HEADER = 12
# A message must fit into one record; certificates of 4096 bits need a fifth of this.
_MESSAGE_MAX = 16000
# Messages that are put together at a time, and how far ahead of the one that is due.
_ASSEMBLIES_MAX = 32
_AHEAD_MAX = 8
# Parts of a message with something missing between them: a genuine one comes in fewer fragments.
_PARTS_MAX = 32
_FATAL = 2


@record(frozen=True, slots=True)
class BeginsAnew:
    """The other end shows the first message of another handshake; `hello` is that message, with its header."""

    hello: bytes


@record(slots=True)
class _Assembly:
    """A message of which fragments have come: its bytes, and the parts that are known, in order and never adjacent."""

    body: bytearray
    known: list[tuple[int, int]] = field(default_factory=list)

    def add(self, start: int, fragment: bytes) -> bool:
        """Take a fragment; True when the message is whole. Of too many parts the smallest is forgotten."""
        begin, end = start, start + len(fragment)
        self.body[begin:end] = fragment
        parts = []
        for part in self.known:
            if part[1] < begin or part[0] > end:
                parts.append(part)
            else:
                begin, end = min(begin, part[0]), max(end, part[1])
        parts.append((begin, end))
        if len(parts) > _PARTS_MAX:
            parts.remove(min(parts, key=lambda part: part[1] - part[0]))
        self.known = sorted(parts)
        return self.known[0] == (0, len(self.body))


class HandshakeFilter:
    """The unencrypted half of one handshake, from the other end's side.

    Args:
        is_server: our role.

    Attributes:
        alert: the last fatal alert that came unencrypted: believed by nobody, but told if all else fails.
        is_mirror: the other end behaves as if it had our role.
        first: the first message that was given on, with its header; b"" before that.
        due: the number of the message that is given on next.
    """

    def __init__(self, *, is_server: bool) -> None:
        self.alert: int | None = None
        self.is_mirror: bool = False
        self.first: bytes = b""
        self.due: int = 0
        self._is_server = is_server
        self._number = 0
        # (message number, type, length) -> what has come of it
        self._assemblies: dict[tuple[int, int, int], _Assembly] = {}
        # whole messages ahead of the one that is due
        self._whole: dict[int, bytes] = {}
        # place in _SERVER_MESSAGES of the last one; -1 before the certificate
        self._rank = -1
        self._verify_requested = False
        self._cipher_spec_held = self._cipher_spec_due = self._cipher_spec_given = False

    @property
    def is_complete(self) -> bool:
        """Whether all unencrypted messages of the other end have been given on."""
        return self._cipher_spec_due

    def take(self, datagram: bytes) -> Iterator[bytes | BeginsAnew]:
        """The records to give to OpenSSL, one after the other, for a datagram from the other end.

        After `BeginsAnew` nothing more is asked for.
        """
        at, size = 0, len(datagram)
        while at + RECORD_HEADER <= size:
            start = at + RECORD_HEADER
            end = start + (datagram[at + 11] << 8 | datagram[at + 12])
            if end > size or datagram[at + 1] != 0xFE:
                return
            kind = datagram[at]
            if datagram[at + 3 : at + 5] != b"\0\0":
                if CHANGE_CIPHER_SPEC < kind <= APPLICATION_DATA:
                    yield datagram[at:end]
            elif kind == HANDSHAKE:
                yield from self._take_fragments(datagram[start:end])
            elif kind == CHANGE_CIPHER_SPEC:
                if datagram[start:end] == b"\x01":
                    self._cipher_spec_held = True
                    yield from self._change_cipher_spec()
            elif kind == ALERT and end - start == 2 and datagram[start] == _FATAL:
                self.alert = datagram[start + 1]
            at = end

    def give_again(self, hello: bytes) -> Iterator[bytes | BeginsAnew]:
        """The record for a first message that another filter has put together."""
        yield from self._take_fragments(hello)

    def _take_fragments(self, data: bytes) -> Iterator[bytes | BeginsAnew]:
        at = 0
        while at + _MESSAGE_HEADER <= len(data):
            kind = data[at]
            length = int.from_bytes(data[at + 1 : at + 4], "big")
            number = data[at + 4] << 8 | data[at + 5]
            offset = int.from_bytes(data[at + 6 : at + 9], "big")
            size = int.from_bytes(data[at + 9 : at + 12], "big")
            begin, at = at + _MESSAGE_HEADER, at + _MESSAGE_HEADER + size
            if at > len(data) or offset + size > length or length > _MESSAGE_MAX:
                return
            if kind == (SERVER_HELLO if self._is_server else CLIENT_HELLO):
                self.is_mirror = True
            message = self._assemble((number, kind, length), offset, data[begin:at])
            if message is not None:
                yield from self._give_message(number, message)

    def _assemble(self, key: tuple[int, int, int], offset: int, fragment: bytes) -> bytes | None:
        """The whole message, with its header, once all of it has come."""
        number, kind, length = key
        if number >= self.due + _AHEAD_MAX or (number < self.due and number > 0):
            return None
        if len(fragment) < length:
            assembly = self._assemblies.get(key)
            if assembly is None:
                if len(self._assemblies) >= _ASSEMBLIES_MAX:
                    del self._assemblies[next(iter(self._assemblies))]
                assembly = self._assemblies[key] = _Assembly(bytearray(length))
            if not assembly.add(offset, fragment):
                return None
            del self._assemblies[key]
            fragment = bytes(assembly.body)
        size = length.to_bytes(3, "big")
        return bytes((kind,)) + size + number.to_bytes(2, "big") + b"\0\0\0" + size + fragment

    def _give_message(self, number: int, message: bytes) -> Iterator[bytes | BeginsAnew]:
        if number < self.due:
            if self._contradicts(message):
                yield BeginsAnew(message)
            return
        if number > self.due:
            self._whole.setdefault(number, message)
            return
        following: bytes | None = message
        while following is not None:
            if not self._is_due(following[0]):
                return
            self.due += 1
            if not self.first:
                self.first = following
            self.alert = None
            yield self._record(HANDSHAKE, following)
            if following[0] == (CERTIFICATE_VERIFY if self._is_server else SERVER_HELLO_DONE):
                self._cipher_spec_due = True
                yield from self._change_cipher_spec()
            following = self._whole.pop(self.due, None)

    def _contradicts(self, message: bytes) -> bool:
        """Whether a first message is another one than that which was given on."""
        return message != self.first and message[0] in (
            (CLIENT_HELLO,) if self._is_server else (SERVER_HELLO, HELLO_VERIFY_REQUEST)
        )

    def _is_due(self, kind: int) -> bool:
        """Whether a message of this type can be the next; notes that it was."""
        if self._is_server:
            return self.due < len(_CLIENT_MESSAGES) and _CLIENT_MESSAGES[self.due] == kind
        if self.due == 0 and kind == HELLO_VERIFY_REQUEST:
            self._verify_requested = True
            return True
        if self.due == int(self._verify_requested):
            return kind == SERVER_HELLO
        rank = _SERVER_MESSAGES.index(kind) if kind in _SERVER_MESSAGES else -1
        if rank <= self._rank:
            return False
        self._rank = rank
        return True

    def _change_cipher_spec(self) -> Iterator[bytes]:
        """ChangeCipherSpec is no handshake message and has no number: it is given on once, where it is due."""
        if self._cipher_spec_held and self._cipher_spec_due and not self._cipher_spec_given:
            self._cipher_spec_given = True
            yield self._record(CHANGE_CIPHER_SPEC, b"\x01")

    def _record(self, kind: int, body: bytes) -> bytes:
        number, self._number = self._number, self._number + 1
        return bytes((kind, 0xFE, 0xFD)) + number.to_bytes(8, "big") + len(body).to_bytes(2, "big") + body

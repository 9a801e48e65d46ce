"""SFrame (RFC 9605): end-to-end encryption of encoded frames, and a transform that does it.

`SFrameCipher` is pure: a cipher suite with its keys, from frame to frame. `SFrameTransform` puts it into a sender or a
receiver (webrtc-encoded-transform). Keys come from the program; nothing here agrees on them or keeps them elsewhere.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from rtcpeer import webidl
from rtcpeer.errors import InvalidModificationError, InvalidStateError, RTCRangeError
from rtcpeer.media.encoded_frames import EncodedMediaFrame, RTCEncodedVideoFrame
from rtcpeer.media.event_target import Event, EventTarget, fire, handler
from rtcpeer.media.transforms import TransformOwner

logger = logging.getLogger(__name__)

# What of a VP8 frame is in the clear with `clearHeaders`: relays read whether it is a key frame, and how large
# (RFC 6386 section 9.1).
_VP8_KEY, _VP8_DELTA = 10, 3
# Codecs whose packetizers need the structure of the data, so that nothing may be encrypted before them.
_STRUCTURED = ("video/h264", "video/h265", "video/av1")


class Suite(NamedTuple):
    """A cipher suite of RFC 9605 section 4.5; sizes in bytes, `auth` 0 for an AEAD."""

    number: int
    hash: hashes.HashAlgorithm
    key: int
    auth: int
    tag: int


SUITES = {
    "AES_128_CTR_HMAC_SHA256_80": Suite(1, hashes.SHA256(), 16, 32, 10),
    "AES_128_CTR_HMAC_SHA256_64": Suite(2, hashes.SHA256(), 16, 32, 8),
    "AES_128_CTR_HMAC_SHA256_32": Suite(3, hashes.SHA256(), 16, 32, 4),
    "AES_128_GCM_SHA256_128": Suite(4, hashes.SHA256(), 16, 0, 16),
    "AES_256_GCM_SHA512_128": Suite(5, hashes.SHA512(), 32, 0, 16),
}
_NONCE = 12
_NUMBER_MAX = 2**64


class UnknownKeyError(Exception):
    """A frame names a key that is not known."""

    def __init__(self, key_id: int) -> None:
        super().__init__(f"no key with id {key_id}")
        self.key_id = key_id


class AuthenticationError(Exception):
    """A frame was changed, or encrypted with another key."""


def write_header(key_id: int, counter: int) -> bytes:
    """The SFrame header (section 4.3)."""
    octet, tail = 0, b""
    for shift, value in ((4, key_id), (0, counter)):
        if value < 8:
            octet |= value << shift
        else:
            encoded = value.to_bytes((value.bit_length() + 7) // 8, "big")
            octet |= (0x8 | len(encoded) - 1) << shift
            tail += encoded
    return bytes((octet,)) + tail


def read_header_untrusted(data: bytes) -> tuple[int, int, int]:
    """Key id, counter and size of an SFrame header (section 4.3).

    Raises:
        ValueError: it is cut off.
    """
    if not data:
        raise ValueError("no SFrame header")
    at, values = 1, []
    for part in (data[0] >> 4, data[0] & 0x0F):
        if not part & 0x8:
            values.append(part)
            continue
        length = (part & 0x7) + 1
        if len(data) < at + length:
            raise ValueError("the SFrame header is cut off")
        values.append(int.from_bytes(data[at : at + length], "big"))
        at += length
    return values[0], values[1], at


class _Key:
    """The keys derived from one base key (section 4.4.2), and the counter of frames that were encrypted with it."""

    def __init__(self, suite: Suite, base_key: bytes, key_id: int) -> None:
        self.counter = 0
        self._suite = suite
        tail = key_id.to_bytes(8, "big") + suite.number.to_bytes(2, "big")
        # HKDF-Extract without salt (RFC 5869 section 2.2); `HKDF.extract` is newer than the oldest cryptography
        secret = hmac.digest(bytes(suite.hash.digest_size), base_key, suite.hash.name)
        size = suite.key + suite.auth

        def expand(label: bytes, length: int) -> bytes:
            return HKDFExpand(suite.hash, length, label + tail).derive(secret)

        key = expand(b"SFrame 1.0 Secret key ", size)
        self._salt = int.from_bytes(expand(b"SFrame 1.0 Secret salt ", _NONCE), "big")
        self._key, self._auth = key[: suite.key], key[suite.key :]
        self._aead = None if suite.auth else AESGCM(key)

    def seal(self, counter: int, aad: bytes, data: bytes) -> bytes:
        nonce = (self._salt ^ counter).to_bytes(_NONCE, "big")
        if self._aead is not None:
            return self._aead.encrypt(nonce, data, aad)
        encrypted = self._ctr(nonce, data)
        return encrypted + self._tag(nonce, aad, encrypted)

    def open(self, counter: int, aad: bytes, data: bytes) -> bytes:
        nonce = (self._salt ^ counter).to_bytes(_NONCE, "big")
        if len(data) < self._suite.tag:
            raise AuthenticationError("the frame is shorter than its tag")
        if self._aead is not None:
            try:
                return self._aead.decrypt(nonce, data, aad)
            except InvalidTag as exc:
                raise AuthenticationError("the frame's tag is wrong") from exc
        encrypted, tag = data[: -self._suite.tag], data[-self._suite.tag :]
        if not hmac.compare_digest(tag, self._tag(nonce, aad, encrypted)):
            raise AuthenticationError("the frame's tag is wrong")
        return self._ctr(nonce, encrypted)

    def _ctr(self, nonce: bytes, data: bytes) -> bytes:
        # section 4.5.1: the initial counter is the nonce and 32 bits of zero
        coder = Cipher(algorithms.AES(self._key), modes.CTR(nonce + bytes(4))).encryptor()
        return coder.update(data) + coder.finalize()

    def _tag(self, nonce: bytes, aad: bytes, encrypted: bytes) -> bytes:
        lengths = b"".join([n.to_bytes(8, "big") for n in (len(aad), len(encrypted), self._suite.tag)])
        digest = hmac.digest(self._auth, lengths + nonce + aad + encrypted, "sha256")
        return digest[: self._suite.tag]


class SFrameCipher:
    """Encrypts and decrypts frames with one cipher suite.

    Args:
        suite: one of `SUITES`.
    """

    def __init__(self, suite: str) -> None:
        self._suite = SUITES[suite]
        self._keys: dict[int, _Key] = {}
        self._current = -1

    def set_key(self, base_key: bytes, key_id: int) -> None:
        """Use a base key from now on to encrypt, and to decrypt what has its id."""
        self._keys[key_id] = _Key(self._suite, base_key, key_id)
        self._current = key_id

    @property
    def has_key(self) -> bool:
        """Whether anything can be encrypted."""
        return self._current >= 0

    def encrypt(self, data: bytes, metadata: bytes = b"") -> bytes:
        """Encrypt a frame; `metadata` is authenticated and not part of the result.

        Raises:
            UnknownKeyError: no key was set.
        """
        key = self._keys.get(self._current)
        if key is None:
            raise UnknownKeyError(self._current)
        header = write_header(self._current, key.counter)
        sealed = key.seal(key.counter, header + metadata, data)
        key.counter += 1
        return header + sealed

    def decrypt_untrusted(self, data: bytes, metadata: bytes = b"") -> bytes:
        """Decrypt a frame.

        Raises:
            ValueError: it is no SFrame.
            UnknownKeyError: its key is not known.
            AuthenticationError: it was changed.
        """
        key_id, counter, size = read_header_untrusted(data)
        key = self._keys.get(key_id)
        if key is None:
            raise UnknownKeyError(key_id)
        return key.open(counter, data[:size] + metadata, data[size:])


class SFrameTransformErrorEvent(Event):
    """A frame could not be encrypted or decrypted.

    Args:
        type: "error".
        init: `errorType` ("authentication", "keyID" or "syntax"), `frame`, and `keyID` where that is meant.
    """

    def __init__(self, type: str, init: Mapping[str, Any] | None = None) -> None:
        super().__init__(type, init)
        given = webidl.members("SFrameTransformErrorEventInit", init)
        self.errorType: str = webidl.required("SFrameTransformErrorEventInit", given, "errorType")
        self.frame: Any = webidl.required("SFrameTransformErrorEventInit", given, "frame")
        self.keyID: int | None = given.get("keyID")


class SFrameTransform(EventTarget):
    """End-to-end encryption of a sender's frames, or decryption of a receiver's, by SFrame (RFC 9605).

    For example::

        transform = SFrameTransform(cipherSuite="AES_128_GCM_SHA256_128")
        await transform.setEncryptionKey(secret, 17)
        sender.transform = transform

    Two senders must never encrypt with the same key and key id: give each its own id. Without a key, and with a wrong
    one, nothing passes, and an "error" event says why. For VP8, VP9 and sound; the packets of H.264, H.265 and AV1
    show the structure of their data, so these cannot be encrypted here.

    Args:
        options: `cipherSuite` (required), one of RFC 9605 section 4.5; `clearHeaders` (ours): leave the first bytes of
            VP8 frames in the clear, authenticated, so that relays see key frames. Both ends have to agree on it.

    Raises:
        TypeError: there is no such suite.
    """

    onerror: handler[SFrameTransformErrorEvent] = handler("error")

    def __init__(self, options: Mapping[str, Any] | None = None, **keywords: Any) -> None:
        super().__init__()
        given = webidl.members("SFrameTransformOptions", options, keywords, ("cipherSuite", "clearHeaders"))
        suite = webidl.required("SFrameTransformOptions", given, "cipherSuite")
        if suite not in SUITES:
            raise TypeError(f"cipherSuite must be one of {', '.join(SUITES)}, not {suite!r}")
        self._cipher = SFrameCipher(suite)
        self._clear_headers = bool(given.get("clearHeaders", False))
        self._owner: TransformOwner | None = None
        # frames were lost on the way to the decoder: it needs a key frame
        self._has_failed = False

    async def setEncryptionKey(self, key: bytes, keyID: int = 0) -> None:
        """Use a key from now on; earlier ones go on decrypting what has their id.

        Args:
            key: the base key, any number of bytes above 0.
            keyID: 0 to 2**64 - 1; a sender tells it with each frame.

        Raises:
            RTCRangeError: `keyID` is out of range.
            InvalidModificationError: `key` is empty.
            TypeError: `key` is no bytes.
        """
        if not isinstance(key, bytes | bytearray | memoryview):
            raise TypeError(f"key must be bytes, not {type(key).__name__}")
        if isinstance(keyID, bool) or not isinstance(keyID, int) or not 0 <= keyID < _NUMBER_MAX:
            raise RTCRangeError("keyID must be in 0..2**64-1")
        if not len(key):
            raise InvalidModificationError("key is empty")
        self._cipher.set_key(bytes(key), keyID)

    # -- see `transforms.FrameTransform` -----------------------------------------------------------

    def attach(self, owner: TransformOwner) -> None:
        """Raises InvalidStateError if it has an owner already."""
        if self._owner is not None:
            raise InvalidStateError("a transform belongs to one sender or receiver: make another one")
        self._owner = owner

    def detach(self) -> None:
        """Implements `FrameTransform.detach`: nothing is left to end."""

    def on_keyframe_request(self, rid: str | None) -> bool:
        """The encoder may answer by itself."""
        return True

    def take(self, frame: EncodedMediaFrame) -> None:
        """A frame that is to be encrypted or decrypted."""
        owner = self._owner
        if owner is None:
            return
        try:
            if owner.transforms_sent:
                self._encrypt(frame)
            else:
                self._decrypt(frame)
        except UnknownKeyError as exc:
            self._fail(frame, "keyID", max(0, exc.key_id))
        except AuthenticationError:
            self._fail(frame, "authentication")
        except ValueError:
            self._fail(frame, "syntax")
        else:
            owner.write_transformed(frame)
            if self._has_failed and not owner.transforms_sent and owner.kind == "video":
                owner.ask_for_keyframe()
            self._has_failed = False

    def _encrypt(self, frame: EncodedMediaFrame) -> None:
        if frame.mimeType.lower() in _STRUCTURED:
            raise ValueError(f"frames of {frame.mimeType} cannot be encrypted whole")
        clear = self._clear(frame)
        frame.data = clear + self._cipher.encrypt(frame.data[len(clear) :], clear)

    def _decrypt(self, frame: EncodedMediaFrame) -> None:
        clear = self._clear(frame)
        frame.data = clear + self._cipher.decrypt_untrusted(frame.data[len(clear) :], clear)

    def _clear(self, frame: EncodedMediaFrame) -> bytes:
        data = frame.data
        if not self._clear_headers or frame.mimeType.lower() != "video/vp8" or not data:
            return b""
        return data[: _VP8_DELTA if data[0] & 1 else _VP8_KEY]

    def _fail(self, frame: EncodedMediaFrame, kind: str, key_id: int | None = None) -> None:
        self._has_failed = self._has_failed or isinstance(frame, RTCEncodedVideoFrame)
        fire(self, SFrameTransformErrorEvent("error", {"errorType": kind, "frame": frame, "keyID": key_id}))

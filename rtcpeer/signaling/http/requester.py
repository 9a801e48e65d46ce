"""HTTP requests of signaling clients: a token that stays at its origin, redirects that keep the body, bounded answers.

Owns: the aiohttp session (unless it is given one) and the header fields that every request has. Never: what a status
means. Needs the extra ``rtcpeer[signaling]`` (aiohttp).
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Mapping
from typing import Any, Final

import aiohttp
from yarl import URL

from rtcpeer.errors import NetworkError, RTCSyntaxError, RTCTimeoutError, SignalingRefused
from rtcpeer.signaling.http.statuses import REDIRECTS, refusal

SDP_TYPE: Final = "application/sdp"

_MAX_REDIRECTS = 5
_MAX_BODY = 1_000_000


class Response:
    """An HTTP response: the parts of it that are needed later.

    Attributes:
        status: of the last response, after redirects.
        headers: its fields; names in any case.
        links: the values of all its Link fields.
        body: its text.
        url: where it came from, after redirects.
    """

    def __init__(
        self, status: int, headers: Mapping[str, str], links: list[str], body: str, url: URL
    ) -> None:
        self.status = status
        self.headers = headers
        self.links = links
        self.body = body
        self.url = url

    @property
    def is_sdp(self) -> bool:
        """Whether it is a description, by its type or its looks."""
        kind = self.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        return kind == SDP_TYPE or self.body.lstrip().startswith("v=0")

    def location(self) -> URL | None:
        """The URL in Location: absolute, an absolute path, or relative to the URL that was asked last."""
        location = self.headers.get("Location")
        if not location:
            return None
        with contextlib.suppress(ValueError, TypeError):
            url = self.url.join(URL(location))
            if url.scheme in ("http", "https") and url.host:
                return url
        return None

    def refusal(self, *, restart: bool = False) -> SignalingRefused:
        """The refusal that its status means, as an exception; see `statuses`."""
        return refusal(
            self.status,
            retry_after=self.headers.get("Retry-After"),
            content_type=self.headers.get("Content-Type", ""),
            body=self.body,
            restart=restart,
        )


class Requester:
    """Makes requests to one service.

    Args:
        url: of the service, http or https.
        token: a bearer token, sent with every request to the URL's own origin and never elsewhere.
        session: an aiohttp session to use, not closed here; by default one of this object's own.
        headers: more fields for every request.
        tls: how https is verified; by default as Python does.

    Attributes:
        url: of the service.

    Raises:
        RTCSyntaxError: it is no http or https URL, or the token cannot stand in a header field.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None,
        session: aiohttp.ClientSession | None,
        headers: Mapping[str, str] | None,
        tls: ssl.SSLContext | None,
    ) -> None:
        try:
            self.url: URL = URL(url)
        except ValueError:
            raise RTCSyntaxError("an endpoint is an http or https URL; this one cannot be read") from None
        if self.url.scheme not in ("http", "https") or not self.url.host:
            scheme = f"one of {self.url.scheme[:20]}" if self.url.scheme else "something without a scheme"
            raise RTCSyntaxError(f"an endpoint is an http or https URL with a host, not {scheme}")
        if token is not None and not (token.isascii() and token.isprintable()):
            raise RTCSyntaxError("the token has characters that no Authorization field can carry")
        self._token = token
        self._session = session
        self._owns_session = session is None
        self._headers = dict(headers or {})
        self._tls = tls

    def __repr__(self) -> str:
        return f"<Requester {self.url.origin()}{self.url.path}>"

    async def close(self) -> None:
        """Close the session if it is our own."""
        if self._owns_session and self._session is not None:
            await self._session.close()
            self._session = None

    async def request(
        self,
        method: str,
        url: URL,
        *,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout: float,
    ) -> Response:
        """Make one request, following redirects that keep method and body.

        Args:
            method: of the request.
            url: absolute.
            body: text, or a function that makes an aiohttp payload (each request needs one of its own).
            headers: beside those of the constructor.
            timeout: for all of it, in seconds.

        Raises:
            RTCTimeoutError: it took longer.
            NetworkError: nobody can be reached there, or what comes back is no HTTP response of a sensible size.
        """
        try:
            async with asyncio.timeout(timeout):
                for _ in range(_MAX_REDIRECTS + 1):
                    response = await self._once(method, url, body, headers or {})
                    target = response.headers.get("Location")
                    if response.status not in REDIRECTS or not target:
                        return response
                    url = _redirected(url, target)
        except TimeoutError:
            raise RTCTimeoutError(
                f"{method} {shown(url)} took longer than {timeout:g} s", fault="network"
            ) from None
        raise NetworkError(f"{method} {shown(url)}: more than {_MAX_REDIRECTS} redirects", fault="remote")

    async def _once(self, method: str, url: URL, body: Any, headers: Mapping[str, str]) -> Response:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        fields = {**self._headers, **headers}
        if self._token is not None and url.origin() == self.url.origin():
            fields["Authorization"] = f"Bearer {self._token}"
        try:
            async with self._session.request(
                method,
                url,
                data=body.encode() if isinstance(body, str) else body() if callable(body) else body,
                headers=fields,
                allow_redirects=False,
                ssl=True if self._tls is None else self._tls,
            ) as response:
                content = await response.content.read(_MAX_BODY + 1)
                while len(content) <= _MAX_BODY and not response.content.at_eof():
                    content += await response.content.read(_MAX_BODY + 1 - len(content))
                if len(content) > _MAX_BODY:
                    raise NetworkError(
                        f"the answer of {shown(url)} is longer than a megabyte", fault="remote"
                    )
                return Response(
                    response.status,
                    response.headers,
                    response.headers.getall("Link", []),
                    content.decode("utf-8", "replace"),
                    url,
                )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NetworkError(f"{method} {shown(url)} failed: {error}", fault="network") from error


def _redirected(url: URL, target: str) -> URL:
    try:
        found = url.join(URL(target))
    except (ValueError, TypeError) as error:
        raise NetworkError(f"{shown(url)} redirects to something that is no URL", fault="remote") from error
    if found.scheme != url.scheme and found.scheme != "https":
        raise NetworkError(f"{shown(url)} redirects from https to {found.scheme}", fault="remote")
    return found


def shown(url: URL) -> str:
    """A URL for messages: its query and user may be credentials."""
    return str(url.with_query(None).with_user(None))

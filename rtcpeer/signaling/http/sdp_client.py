"""One offer over HTTP, as SDP: a signaling channel to endpoints that answer a POST with a description, and that is all.

Owns: the one request. Never: a session at the server (there is none to restart or delete). Voice models are reached
like this, either with the description as the body or as a part of a form. Needs the extra ``rtcpeer[signaling]``
(aiohttp).
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping
from typing import Any, Self

import aiohttp

from rtcpeer.aio import Inbox, start_task
from rtcpeer.errors import InvalidStateError
from rtcpeer.signaling.capabilities import ChannelCapabilities
from rtcpeer.signaling.channel import Message, as_message
from rtcpeer.signaling.http.requester import SDP_TYPE, Requester


class HttpSdpClient:
    """Posts an offer and gets the answer: a `SignalingChannel` for `Negotiator` or `SupervisedPeer`.

        channel = HttpSdpClient("https://api.example/v1/realtime", token=key, form={"session": {"type": "realtime"}})
        async with SupervisedPeer(channel) as peer:
            peer.addTrack(microphone)
            events = peer.createDataChannel("events")
            await peer.connected()

    Candidates are gathered before the POST, for none can follow it. Nothing can be changed afterwards: a connection
    that is lost is made anew by another POST. An answer with TCP candidates alone works: ICE connects to those.

    Args:
        url: of the endpoint, http or https; a query such as "?model=..." is a part of it.
        token: a bearer token, sent to that URL's origin alone.
        form: None: the description is the body (application/sdp). A mapping: the body is multipart/form-data with the
            description as the part `part` and these parts beside it; what is no string goes as JSON.
        part: the name of the description's part.
        timeout: how long the answer may take, in seconds. The POST is not repeated meanwhile.
        gathering_time: how long the offer waits for candidates, in seconds.
        session: an aiohttp session to use, not closed here; by default one of this client's own.
        headers: more header fields.
        tls: how https is verified; by default as Python does.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        form: Mapping[str, Any] | None = None,
        part: str = "sdp",
        timeout: float = 30.0,
        gathering_time: float = 2.0,
        session: aiohttp.ClientSession | None = None,
        headers: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._http = Requester(url, token=token, session=session, headers=headers, tls=tls)
        self._form = None if form is None else dict(form)
        self._part = part
        self._timeout = timeout
        self._gathering_time = gathering_time
        self._inbox: Inbox[Message] = Inbox()
        self._posting: asyncio.Task[None] | None = None
        self._closed = False

    def __repr__(self) -> str:
        url = self._http.url
        return f"<HttpSdpClient {url.origin()}{url.path}{', closed' if self._closed else ''}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def capabilities(self) -> ChannelCapabilities:
        """The capabilities of this channel: one exchange, with all candidates in it."""
        return ChannelCapabilities(
            reliable=True,
            trickle=False,
            gathering_time=self._gathering_time,
            renegotiate=False,
            restart="no",
            offers="local",
            polite=False,
        )

    @property
    def configuration(self) -> dict[str, str]:
        """Members that a connection over this channel should have."""
        return {"bundlePolicy": "max-bundle", "rtcpMuxPolicy": "require"}

    async def send(self, message: Any, /) -> None:
        """Post an offer; the answer comes out of the iteration. Candidates are passed over: the offer has them.

        Raises:
            SignalingRefused: the endpoint says no.
            RTCTimeoutError: it does not answer in time.
            NetworkError: it cannot be reached, or answers with something that is no answer.
            InvalidStateError: the channel is closed.
        """
        if self._closed:
            raise InvalidStateError("the signaling channel is closed")
        value = as_message(message)
        if value.get("type") != "offer":
            return
        if self._posting is not None:
            self._posting.cancel()
        task = self._posting = start_task(self._post(value["sdp"]), name="rtcpeer http offer")
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if self._closed:
                raise InvalidStateError("the signaling channel was closed meanwhile") from None
            task.cancel()
            raise

    async def _post(self, offer: str) -> None:
        headers = {"Accept": SDP_TYPE}
        if self._form is None:
            headers["Content-Type"] = SDP_TYPE
        response = await self._http.request(
            "POST",
            self._http.url,
            body=offer if self._form is None else lambda: self._make_form(offer),
            headers=headers,
            timeout=self._timeout,
        )
        if response.status not in (200, 201) or not response.is_sdp:
            raise response.refusal()
        self._inbox.put({"type": "answer", "sdp": response.body})

    def _make_form(self, offer: str) -> aiohttp.FormData:
        form = aiohttp.FormData(default_to_multipart=True)
        form.add_field(self._part, offer, content_type=SDP_TYPE)
        for name, value in (self._form or {}).items():
            if isinstance(value, str):
                form.add_field(name, value)
            else:
                form.add_field(name, json.dumps(value), content_type="application/json")
        return form

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        return await self._inbox.get()

    async def close(self) -> None:
        """End the channel; the endpoint learns it from the connection. Idempotent."""
        self._closed = True
        self._inbox.end()
        task, self._posting = self._posting, None
        try:
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        finally:
            await self._http.close()

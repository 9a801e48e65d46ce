"""The arguments of `join`, as services get them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from rtcpeer.config.configuration import RTCConfiguration
from rtcpeer.records import record


@record(frozen=True, slots=True)
class JoinRequest:
    """The arguments of `join`, as a service gets them.

    Attributes:
        url: with the scheme of the transport alone ("ws://...", "https://...").
        name: how we are called in the call.
        metadata: what we say of ourselves at first.
        token: a credential for the service; never shown.
        configuration: for the connections.
        timeout: how long entering may take, in seconds.
        options: further keywords; the service refuses those that it does not know.
    """

    url: str
    name: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    token: str | None = field(default=None, repr=False)
    configuration: RTCConfiguration = field(default_factory=RTCConfiguration, repr=False)
    timeout: float = 15.0
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def take(self, *names: str) -> tuple[str, dict[str, str]]:
        """Take members out of the URL's query: the URL without them, and those that were there."""
        parts = urlsplit(self.url)
        query = parse_qsl(parts.query, keep_blank_values=True)
        taken = {name: value for name, value in query if name in names}
        rest = urlencode([(name, value) for name, value in query if name not in names])
        return urlunsplit((parts.scheme, parts.netloc, parts.path, rest, "")), taken

    def check_options(self, *known: str) -> None:
        """Refuse options that the service does not know.

        Raises:
            TypeError: names the first unknown one.
        """
        for name in self.options:
            if name not in known:
                raise TypeError(f"join() got an unexpected keyword argument {name!r} for this service")

"""The plugin of Janus that a URL means: "janus+ws://host:8188/?room=1234", or ``?textroom=``, ``?stream=``, ``?echo``.

Owns: that choice. Never: a session.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from rtcpeer.calls.janus.echo import JanusEchoTest
from rtcpeer.calls.janus.streaming import JanusStreaming
from rtcpeer.calls.janus.textroom import JanusTextRoom
from rtcpeer.calls.janus.videoroom import JanusRoom
from rtcpeer.calls.request import JoinRequest
from rtcpeer.calls.service import CallService

_PLUGINS: Final[Mapping[str, Callable[[JoinRequest], Any]]] = {
    "room": JanusRoom,
    "textroom": JanusTextRoom,
    "stream": JanusStreaming,
    "echo": JanusEchoTest,
}


def janus_service(request: JoinRequest) -> CallService:
    """The service that the URL names by one of ``room``, ``textroom``, ``stream`` and ``echo``.

    Raises:
        ValueError: it names none, or several.
    """
    members = {name for name, _ in parse_qsl(urlsplit(request.url).query, keep_blank_values=True)}
    named = [name for name in _PLUGINS if name in members]
    if len(named) != 1:
        raise ValueError(
            "the URL of Janus names one of: ?room=1234 (a VideoRoom), ?textroom=1234, ?stream=1 (a mountpoint), ?echo"
        )
    service: CallService = _PLUGINS[named[0]](request)
    return service

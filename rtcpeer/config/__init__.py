"""Configuration: which servers and policies a connection uses, how they are checked and replaced.

In reading order: `servers` (URLs), `configuration` (the dictionaries and their check), `manager` (the rules of
replacement), `readers` (what services hand out), `rest` (TURN REST credentials), `provider` (servers that expire).

The names below are loaded on demand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtcpeer.lazy import lazy_names

__all__ = [
    "ConfigurationManager",
    "Difference",
    "IceServerGrant",
    "IceServerProvider",
    "IceServersUnavailable",
    "RTCConfiguration",
    "RTCIceServer",
    "ServerUrl",
    "difference",
    "parse_server_url",
    "read_ice_servers",
    "read_link_headers",
    "rest_credentials",
    "rest_ice_server",
]

if TYPE_CHECKING:
    from rtcpeer.config.configuration import RTCConfiguration, RTCIceServer
    from rtcpeer.config.manager import ConfigurationManager, Difference, difference
    from rtcpeer.config.provider import IceServerProvider, IceServersUnavailable
    from rtcpeer.config.readers import IceServerGrant, read_ice_servers, read_link_headers
    from rtcpeer.config.rest import rest_credentials, rest_ice_server
    from rtcpeer.config.servers import ServerUrl, parse_server_url
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "rtcpeer.config.configuration": (
                "RTCConfiguration",
                "RTCIceServer",
            ),
            "rtcpeer.config.manager": (
                "ConfigurationManager",
                "Difference",
                "difference",
            ),
            "rtcpeer.config.provider": (
                "IceServerProvider",
                "IceServersUnavailable",
            ),
            "rtcpeer.config.readers": (
                "IceServerGrant",
                "read_ice_servers",
                "read_link_headers",
            ),
            "rtcpeer.config.rest": (
                "rest_credentials",
                "rest_ice_server",
            ),
            "rtcpeer.config.servers": (
                "ServerUrl",
                "parse_server_url",
            ),
        },
    )

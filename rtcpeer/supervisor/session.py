"""A session with a server list that is edited in place, as users of RTCMultiConnection do.

Owns: the list, the other members of the configuration, the knowledge of which connections live. An edit is checked at
once; it applies to the next connection, and to living ones when `apply` is called. Never: fetching (`provider`).
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping, MutableSequence
from typing import Any, ClassVar, Unpack, overload

from rtcpeer.config.configuration import RTCConfiguration, RTCIceServer, read_configuration
from rtcpeer.peer.connection import RTCPeerConnection
from rtcpeer.peer.errors import w3c_errors
from rtcpeer.peer.keywords import ConfigurationKeywords
from rtcpeer.signaling.channel import SignalingChannel
from rtcpeer.supervisor.peer import SupervisedPeer
from rtcpeer.supervisor.servers import needs_restart, replace_servers

Server = RTCIceServer | Mapping[str, Any]


@w3c_errors
def _read(servers: Iterable[Server]) -> list[RTCIceServer]:
    return read_configuration(iceServers=list(servers)).iceServers


class ServerList(MutableSequence[RTCIceServer]):
    """A list of ICE servers that refuses what is not one: every edit is done whole or not at all.

    Items may be given as `RTCIceServer` or as mappings, and are `RTCIceServer` objects when read.

    Raises:
        TypeError, RTCSyntaxError, InvalidAccessError: from any edit; the list is what it was.
    """

    def __init__(self, servers: Iterable[Server] = ()) -> None:
        self._servers = _read(servers)

    def __repr__(self) -> str:
        return f"ServerList({self._servers!r})"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, ServerList):
            return self._servers == other._servers
        return self._servers == other

    __hash__: ClassVar[None] = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self._servers)

    @overload
    def __getitem__(self, index: int) -> RTCIceServer: ...
    @overload
    def __getitem__(self, index: slice) -> MutableSequence[RTCIceServer]: ...
    def __getitem__(self, index: int | slice) -> RTCIceServer | MutableSequence[RTCIceServer]:
        return self._servers[index]

    @overload
    def __setitem__(self, index: int, value: Server) -> None: ...
    @overload
    def __setitem__(self, index: slice, value: Iterable[Server]) -> None: ...
    def __setitem__(self, index: int | slice, value: Any) -> None:
        if isinstance(index, slice):
            self._servers[index] = _read(value)
        else:
            self._servers[index] = _read([value])[0]

    def __delitem__(self, index: int | slice) -> None:
        del self._servers[index]

    def insert(self, index: int, value: Server) -> None:
        """Insert one server."""
        self._servers.insert(index, _read([value])[0])

    def append(self, value: Server) -> None:
        """Append one server."""
        self.insert(len(self), value)

    def extend(self, values: Iterable[Server]) -> None:
        """Append several servers, or none if one of them is not valid."""
        self._servers.extend(_read(values))


class Session:
    """Makes connections from one configuration that may be edited at any time.

        session = Session()
        session.iceServers.append({"urls": "stun:stun.example.org"})
        pc = session.connection()
        ...
        session.iceServers = [{"urls": "turn:new.example.org", "username": "u", "credential": "c"}]
        session.apply()          # the living ones too; those that depend on an old relay restart

    Args:
        configuration: as for RTCPeerConnection.
        **members: single members of it.
    """

    @w3c_errors
    def __init__(
        self,
        configuration: RTCConfiguration | Mapping[str, Any] | None = None,
        **members: Unpack[ConfigurationKeywords],
    ) -> None:
        read = read_configuration(configuration, **members)
        self._servers = ServerList(read.iceServers)
        self._others = read_configuration(read, iceServers=[])
        self._live: weakref.WeakSet[Any] = weakref.WeakSet()

    def __repr__(self) -> str:
        return f"<Session {len(self._servers)} servers, {len(self.live)} connections>"

    @property
    def iceServers(self) -> ServerList:
        """The servers for the next connection: edit it in place, or assign another list."""
        return self._servers

    @iceServers.setter
    def iceServers(self, servers: Iterable[Server]) -> None:
        self._servers = ServerList(servers)

    @property
    @w3c_errors
    def configuration(self) -> RTCConfiguration:
        """The configuration of the next connection: a copy, checked again, as servers may have been edited."""
        return read_configuration(self._others, iceServers=list(self._servers))

    @property
    def live(self) -> tuple[Any, ...]:
        """The connections and supervised peers of this session that are not closed."""
        return tuple(one for one in self._live if not _is_closed(one))

    def connection(self, **options: Any) -> RTCPeerConnection:
        """Make an RTCPeerConnection; `options` are its keyword arguments, members of the configuration included."""
        pc = RTCPeerConnection(self.configuration, **options)
        self._live.add(pc)
        return pc

    def supervise(
        self, channel: SignalingChannel, *, polite: bool | None = None, **options: Any
    ) -> SupervisedPeer:
        """Make a `SupervisedPeer`; `options` are its keyword arguments."""
        peer = SupervisedPeer(channel, polite=polite, configuration=self.configuration, **options)
        self._live.add(peer)
        return peer

    def adopt(self, connection: Any) -> None:
        """Count a connection that was made elsewhere among those that `apply` reaches."""
        self._live.add(connection)

    @w3c_errors
    def apply(self, *, restart: bool | None = None) -> int:
        """Bring the servers to all living connections, by replacement of theirs.

        Args:
            restart: None: ICE is restarted where the path in use depends on a server that is gone (and the signaling
                channel can carry a restart; elsewhere the next connection uses the servers). True: everywhere
                where the servers have changed. False: nowhere; their next gathering uses the new ones.

        Returns:
            How many connections have other servers now.

        Raises:
            RTCSyntaxError, InvalidAccessError, TypeError: a server was edited into something that is not valid; no
                connection was touched.
        """
        servers = self.configuration.iceServers
        changed = 0
        for one in self.live:
            if isinstance(one, SupervisedPeer):
                changed += _apply_to_peer(one, servers, restart)
                continue
            change = replace_servers(one, servers)
            if change.restart_required:
                changed += 1
                if restart or (restart is None and needs_restart(one, change)):
                    one.restartIce()
        return changed


def _apply_to_peer(peer: SupervisedPeer, servers: list[RTCIceServer], restart: bool | None) -> int:
    change = peer.replace_servers(servers)
    if not change.restart_required:
        return 0
    wanted = peer.pc is not None and (restart or (restart is None and needs_restart(peer.pc, change)))
    if wanted and peer.can_restart:  # else the next connection uses them
        peer.restart()
    return 1


def _is_closed(one: Any) -> bool:
    if isinstance(one, SupervisedPeer):
        return one.is_ended
    return str(one.signalingState) == "closed"

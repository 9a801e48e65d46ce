"""PeerSettings: what RTCConfiguration has no member for, such as time limits, the network, sizes."""

from __future__ import annotations

from dataclasses import field

from rtcpeer.ice.settings import IceSettings, check_setting
from rtcpeer.net.network import Network
from rtcpeer.records import record


@record(frozen=True, slots=True)
class PeerSettings:
    """Settings of one connection beside its RTCConfiguration; all have good defaults.

    Attributes:
        ice: times, addresses, ports, filters of the ICE agents. `servers` and `policy` in it are ignored:
            they come from the RTCConfiguration.
        network: where sockets, names and interfaces come from; None is the network in force where the
            connection is made (`rtcpeer.net.current.current_network`).
        close_timeout: seconds after which `close()` stops waiting for others and ends by force.
        max_picture_size: longer and shorter side, in pixels, of the largest received picture that is decoded; what
            announces more is dropped, and counted as `oversizedFrames` in `inbound-rtp`.
        max_message_size: the largest data-channel message that is accepted, in bytes.
        max_data_channels: how many data channels the other end may have open at a time; further ones are refused.
        resting_channel_ids: how many ids of data channels that were closed last are passed over while there are others:
            the other end knows a little later than we that an id is free, much later where packets are lost, and
            browsers drop a channel whose id they hold in use.
    """

    ice: IceSettings = field(default_factory=IceSettings)
    network: Network | None = None
    close_timeout: float = 5.0
    max_message_size: int = 262144
    max_picture_size: tuple[int, int] = (4096, 2304)
    max_data_channels: int = 1024
    resting_channel_ids: int = 64

    def __post_init__(self) -> None:
        if not isinstance(self.ice, IceSettings):
            raise TypeError(f"PeerSettings: ice is an IceSettings, not {self.ice!r}")
        for name in ("close_timeout", "max_message_size", "max_data_channels", "resting_channel_ids"):
            check_setting(f"PeerSettings: {name}", getattr(self, name))
        for side in self.max_picture_size:
            check_setting("PeerSettings: max_picture_size", side)


# of connections that name none: made, and checked, once
DEFAULT_SETTINGS = PeerSettings()

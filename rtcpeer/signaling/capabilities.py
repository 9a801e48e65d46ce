"""Capabilities of a signaling channel: what it promises, and what it cannot do.

Owns: the record that a channel shows in its attribute `capabilities`, and the defaults for channels that have
none. Never: a message, a decision; `Negotiator` and `SupervisedPeer` read the record each time they need it, so a
channel may change its mind (a WHIP server that refuses candidates turns `trickle` off).
"""

from __future__ import annotations

from typing import Any, Final, Literal

from rtcpeer.records import record

Restart = Literal["offer", "ask", "no"]
Offers = Literal["both", "local", "remote"]


@record(frozen=True, slots=True)
class ChannelCapabilities:
    """The abilities of a signaling channel. The defaults are those of a plain path for messages.

    Attributes:
        reliable: what `send` has taken arrives, once, or `send` raises: nothing is repeated by the sender.
        ordered: messages arrive in the order in which they were sent.
        trickle: True: candidates are sent one by one as they are found. False: the path takes none after the
            description, which waits until all are gathered. "auto": the description waits up to
            `gathering_time` for candidates, and later ones are sent.
        gathering_time: how long a description waits for candidates, in seconds, where `trickle` is not True; the
            description goes out with what there is then.
        renegotiate: whether another offer is possible after the first exchange. Where it is not, whatever needs
            one raises NotSupportedError at the call.
        restart: how ICE is restarted: by an "offer" of ours; only the other side can, and `request_restart` of
            the channel is how to "ask" it; "no": not at all, the connection has to be made anew.
        offers: who makes offers: "both" sides, only the "local" or only the "remote" one.
        polite: whether this side gives way in a glare; None: the channel does not know, the application says it.
    """

    reliable: bool = False
    ordered: bool = True
    trickle: bool | Literal["auto"] = True
    gathering_time: float = 0.25
    renegotiate: bool = True
    restart: Restart = "offer"
    offers: Offers = "both"
    polite: bool | None = None


DEFAULT_CAPABILITIES: Final = ChannelCapabilities()


def capabilities_of(channel: Any) -> ChannelCapabilities:
    """The capabilities of a channel; the defaults for one that says nothing.

    Raises:
        TypeError: its `capabilities` is something else than a `ChannelCapabilities`.
    """
    said = getattr(channel, "capabilities", None)
    if said is None:
        return DEFAULT_CAPABILITIES
    if not isinstance(said, ChannelCapabilities):
        raise TypeError(
            f"capabilities of a signaling channel are a ChannelCapabilities, not {type(said).__name__}"
        )
    return said


def politeness(channel: Any, polite: bool | None) -> bool:
    """Whether the local side is polite: what the caller says, else what the channel knows.

    Raises:
        TypeError: neither says it. Where only one side makes offers it does not matter and need not be said.
    """
    if polite is not None:
        return polite
    capabilities = capabilities_of(channel)
    if capabilities.polite is not None:
        return capabilities.polite
    if capabilities.offers != "both":
        return capabilities.offers == "remote"
    raise TypeError(
        "say polite=True on one side and polite=False on the other: this channel does not know it"
    )

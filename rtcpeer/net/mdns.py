"""mDNS names (draft-ietf-mmusic-mdns-ice-candidates) over aioice's responder.

Owns: nothing; aioice shares one multicast socket per thread.  It is imported on first use, for it brings
a DNS library that most connections never need.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

_TIMEOUT = 3.0
_ASK_EVERY = 1.0


async def resolve(name: str) -> list[str]:
    """The address behind a ``.local`` name; asked again each second, for multicast has no retransmission.

    Raises:
        OSError: nobody answered, or there is no multicast here.
    """
    from aioice import ice

    subscriber = object()
    protocol = await ice.get_or_create_mdns_protocol(subscriber)
    try:
        deadline = asyncio.get_running_loop().time() + _TIMEOUT
        while asyncio.get_running_loop().time() < deadline:
            address = await protocol.resolve(name, timeout=_ASK_EVERY)
            if address is not None:
                return [address]
    finally:
        await ice.unref_mdns_protocol(subscriber)
    raise OSError(f"nobody answered for {name}")


async def publish(address: str) -> tuple[str, Callable[[], Awaitable[None]]]:
    """Answer for a fresh name from now on.

    Raises:
        OSError: there is no multicast here.
    """
    import dns.name
    from aioice import ice, mdns

    subscriber = object()
    name = mdns.create_mdns_hostname()
    protocol = await ice.get_or_create_mdns_protocol(subscriber)
    try:
        await protocol.publish(name, address)
    except BaseException:
        await ice.unref_mdns_protocol(subscriber)
        raise

    async def withdraw() -> None:
        protocol.zone.delete_node(dns.name.from_text(name))
        await ice.unref_mdns_protocol(subscriber)

    return name, withdraw

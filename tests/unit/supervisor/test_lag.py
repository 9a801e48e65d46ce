import asyncio

from rtcpeer.supervisor.lag import LagMonitor
from tests.unit.config.virtual import VirtualLoop, virtual


@virtual
async def test_a_loop_that_stands_still_is_noticed() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    told: list[float] = []
    monitor = LagMonitor.of(loop)
    assert LagMonitor.of(loop) is monitor
    stop = monitor.listen(told.append)
    other = monitor.listen(lambda _: None)
    await asyncio.sleep(100)
    assert told == []
    loop.now += 7.0  # somebody computes for seven seconds
    await asyncio.sleep(1)
    assert len(told) == 1
    assert 6.0 <= told[0] <= 7.0
    assert monitor.worst == told[0]
    stop()
    stop()
    loop.now += 7.0
    await asyncio.sleep(1)
    assert len(told) == 1
    other()
    assert monitor._timer is None

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from rtcpeer.config.configuration import RTCIceServer
from rtcpeer.config.provider import IceServerProvider, IceServersUnavailable, refresh_after
from rtcpeer.config.readers import IceServerGrant
from rtcpeer.config.rest import rest_ice_server
from rtcpeer.errors import InvalidStateError
from tests.unit.config.virtual import errors, virtual


class HttpError(Exception):
    def __init__(self, status: int) -> None:
        super().__init__("https://service.example/?token=hunter2")
        self.status = status


class Service:
    """Answers with a new server each time, or with what the script says."""

    def __init__(self, *script: Any, ttl: float | None = 3600.0, delay: float = 0.1) -> None:
        self.script = list(script)
        self.ttl = ttl
        self.delay = delay
        self.calls: list[float] = []

    async def __call__(self) -> Any:
        self.calls.append(asyncio.get_running_loop().time() - 1000)
        await asyncio.sleep(self.delay)
        answer = self.script.pop(0) if self.script else None
        if isinstance(answer, BaseException):
            raise answer
        if answer is not None:
            return answer
        return IceServerGrant((RTCIceServer([f"stun:{len(self.calls)}.example"]),), self.ttl)


def provider(fetch: Any, **options: Any) -> IceServerProvider:
    return IceServerProvider(fetch, random_source=random.Random(1), **options)


def name(servers: Any) -> str:
    return str(servers[0].urls[0])


@pytest.mark.parametrize(
    ("ttl", "after"),
    [(86400, 69120), (3600, 2880), (3000, 2400), (1800, 1200), (900, 450), (300, 150), (10, 5)],
)
def test_when_to_refresh(ttl: float, after: float) -> None:
    assert refresh_after(ttl) == after


@virtual
async def test_a_fetch_is_shared_and_its_answer_kept() -> None:
    service = Service()
    async with provider(service) as p:
        assert p.state == "idle"
        answers = await asyncio.gather(*(p.servers() for _ in range(1000)))
        assert {name(a) for a in answers} == {"stun:1.example"}
        assert p.state == "fresh"
        assert p.expires_in == pytest.approx(3599.9)
        await asyncio.sleep(3500)
        assert name(await p.servers()) == "stun:1.example"
        await asyncio.sleep(100)
        assert name(await p.servers()) == "stun:2.example"
    assert len(service.calls) == 2


@virtual
async def test_one_cancelled_waiter_does_not_disturb_the_others() -> None:
    async with provider(Service()) as p:
        first, second = asyncio.ensure_future(p.servers()), asyncio.ensure_future(p.servers())
        await asyncio.sleep(0.01)
        first.cancel()
        assert name(await second) == "stun:1.example"
        assert first.cancelled()


@virtual
async def test_without_subscribers_nothing_is_polled() -> None:
    service = Service()
    async with provider(service) as p:
        await p.servers()
        await asyncio.sleep(100_000)
        assert len(service.calls) == 1


@virtual
async def test_subscribers_hear_of_refreshes_before_expiry() -> None:
    service = Service()
    told: list[tuple[float, str]] = []
    async with provider(service) as p:
        subscription = p.subscribe(
            lambda g: told.append((asyncio.get_running_loop().time() - 1000, name(g.servers)))
        )
        await asyncio.sleep(8000)
        # first at once, then at 80 % of an hour less up to 10 % jitter, then within the spread
        assert [n for _, n in told] == ["stun:1.example", "stun:2.example", "stun:3.example"]
        assert service.calls[0] == 0
        assert 0.9 * 2880 <= service.calls[1] <= 2881
        assert told[0][0] == pytest.approx(0.1)
        assert service.calls[1] <= told[1][0] <= service.calls[1] + 10.2
        subscription.close()
        subscription.close()
        await asyncio.sleep(100_000)
        assert len(service.calls) == 3


@virtual
async def test_a_thousand_subscribers_are_told_apart() -> None:
    service = Service()
    times: list[float] = []
    async with provider(service) as p:
        await p.servers()
        for _ in range(1000):
            p.subscribe(lambda _: times.append(asyncio.get_running_loop().time()))
        await asyncio.sleep(3000)
        assert len(service.calls) == 2
        assert len(times) == 1000
        assert len(set(times)) > 990
        assert 9 < max(times) - min(times) <= 10


@virtual
async def test_equal_servers_are_not_told_again() -> None:
    answer = IceServerGrant((RTCIceServer(["stun:a.example"]),), 600)
    told: list[Any] = []
    async with provider(Service(*[answer] * 100)) as p:
        p.subscribe(told.append)
        await asyncio.sleep(3600)
        assert len(told) == 1
        assert p.expires_in is not None
        assert p.expires_in > 0


@virtual
async def test_a_late_subscriber_is_told_of_the_next_only() -> None:
    told: list[Any] = []
    async with provider(Service()) as p:
        await p.servers()
        p.subscribe(told.append, spread=0.0)
        await asyncio.sleep(100)
        assert told == []
        await asyncio.sleep(2800)
        assert len(told) == 1


@virtual
async def test_a_newer_answer_replaces_one_that_waits_but_does_not_delay_it() -> None:
    told: list[int] = []
    async with provider(Service(ttl=100), spread=1000.0) as p:
        await p.servers()
        p.subscribe(lambda g: told.append(int(g.servers[0].urls[0].split(":")[1].split(".")[0])))
        await asyncio.sleep(20_000)
        assert told == sorted(set(told))
        assert 20 < len(told) < 80
        assert told[0] > 2


@pytest.mark.parametrize("status", [401, 403])
@virtual
async def test_a_refusal_is_final(status: int) -> None:
    service = Service(None, HttpError(status))
    failures: list[IceServersUnavailable] = []
    async with provider(service) as p:
        p.subscribe(lambda _: None, failures.append)
        await asyncio.sleep(100_000)
        assert len(service.calls) == 2
        assert [(f.fatal, f.status, f.retry_in) for f in failures] == [(True, status, None)]
        assert failures[0].expires_in is not None
        assert "hunter2" not in str(failures[0])
        assert p.state == "refused"
        assert p.last_error is failures[0]
        p.refresh()
        assert name(await p.servers()) == "stun:1.example"  # expired: their server will say so
        p.subscribe(lambda _: None)
        await asyncio.sleep(100_000)
        assert len(service.calls) == 2


@virtual
async def test_a_refusal_in_the_beginning() -> None:
    async with provider(Service(HttpError(403))) as p:
        for _ in range(2):
            with pytest.raises(IceServersUnavailable) as caught:
                await p.servers()
            assert caught.value.fatal


def test_statuses_of_http_libraries() -> None:
    class Response:
        status_code = 403

    class Httpx(Exception):
        response = Response()

    class Urllib(Exception):
        code = 401

    class Other(Exception):
        code = "E401"
        status = True

    @virtual
    async def run(error: Exception, fatal: bool) -> None:
        async with provider(Service(error)) as p:
            with pytest.raises(IceServersUnavailable) as caught:
                await p.servers()
            assert caught.value.fatal is fatal

    run(Httpx(), True)
    run(Urllib(), True)
    run(Other(), False)
    run(HttpError(500), False)


@virtual
async def test_other_failures_keep_the_old_servers_and_are_retried() -> None:
    service = Service(None, *[OSError("hunter2")] * 9)
    failures: list[IceServersUnavailable] = []
    told: list[str] = []
    async with provider(service) as p:
        p.subscribe(lambda g: told.append(name(g.servers)), failures.append)
        await asyncio.sleep(2881)
        assert p.state == "failing"
        assert p.current is not None
        assert name(await p.servers()) == "stun:1.example"
        await asyncio.sleep(400)
        assert len(failures) == 9
        assert not any(f.fatal for f in failures)
        assert "hunter2" not in str(failures[0])
        assert isinstance(failures[0].__cause__, OSError)
        waits = [f.retry_in for f in failures if f.retry_in is not None]
        for wait, base in zip(waits, [1, 2, 4, 8, 16, 30, 60, 60, 60], strict=True):
            assert 0.75 * base <= wait <= 1.25 * base
        assert told == ["stun:1.example", "stun:11.example"]
        assert p.state == "fresh"
        assert p.last_error is None


@pytest.mark.parametrize(
    "rubbish",
    [
        "nonsense",
        b"{}",
        5,
        {"iceServers": None},
        [{"urls": "http://a.example"}],
        [None],
        IceServerGrant((RTCIceServer("x"),)),
        IceServerGrant((RTCIceServer("stun:a.example"),), 0),
        IceServerGrant((RTCIceServer("stun:a.example"),), -5),
        [rest_ice_server("turn:a.example", "x", ttl=10, now=1_700_000_000)],
    ],
)
@virtual
async def test_rubbish_and_expired_credentials_are_failures(rubbish: Any) -> None:
    service = Service(rubbish)
    failures: list[Any] = []
    async with provider(service, wall_clock=lambda: 1_700_000_010.0) as p:
        with pytest.raises(IceServersUnavailable):
            await p.servers()
        p.subscribe(lambda _: None, failures.append)
        await asyncio.sleep(10)
        assert p.state == "fresh"
        assert name(await p.servers()) == "stun:2.example"


@virtual
async def test_no_answer() -> None:
    async def hang() -> None:
        await asyncio.sleep(1e6)

    async with provider(hang, timeout=3.0) as p:
        start = asyncio.get_running_loop().time()
        with pytest.raises(IceServersUnavailable, match="3 s"):
            await p.servers()
        assert asyncio.get_running_loop().time() - start == pytest.approx(3)


@pytest.mark.parametrize(
    "answer",
    [
        [{"urls": "stun:a.example"}],
        (RTCIceServer("stun:a.example"),),
        {"iceServers": [{"urls": "stun:a.example"}]},
        '{"iceServers": [{"urls": "stun:a.example"}]}',
        {"uris": ["stun:a.example"]},
    ],
)
@virtual
async def test_what_a_fetch_may_return(answer: Any) -> None:
    async with provider(lambda: answer, ttl=120) as p:
        assert name(await p.servers()) == "stun:a.example"
        assert p.expires_in == pytest.approx(120)


@virtual
async def test_rest_names_tell_their_expiry() -> None:
    server = rest_ice_server("turn:a.example", "x", ttl=1000, now=1_700_000_000)
    async with provider(lambda: [server], wall_clock=lambda: 1_700_000_400.0) as p:
        await p.servers()
        assert p.expires_in == pytest.approx(600)
    async with provider(lambda: [server], ttl=50, wall_clock=lambda: 1_700_000_400.0) as p:
        await p.servers()
        assert p.expires_in == pytest.approx(50)


@virtual
async def test_without_time_to_live_one_fetch_is_enough() -> None:
    service = Service(ttl=None)
    async with provider(service) as p:
        p.subscribe(lambda _: None)
        await asyncio.sleep(1e6)
        await p.servers()
        assert p.expires_in is None
        assert len(service.calls) == 1
        p.refresh()
        await asyncio.sleep(1)
        assert len(service.calls) == 2


@virtual
async def test_refresh_on_demand_is_bounded() -> None:
    service = Service(delay=0.0)
    async with provider(service) as p:
        p.subscribe(lambda _: p.refresh(), spread=0.0)  # a server that refuses whatever it is given
        await asyncio.sleep(10)
        assert 5 <= len(service.calls) <= 11


@virtual
async def test_a_failing_service_is_not_hammered() -> None:
    service = Service(*[OSError()] * 1000, delay=0.0)
    async with provider(service) as p:
        for _ in range(100):
            with pytest.raises(IceServersUnavailable):
                await p.servers()
            await asyncio.sleep(0.01)
        assert len(service.calls) == 1


@virtual
async def test_a_subscriber_that_raises_does_not_disturb_the_others() -> None:
    told: list[Any] = []

    def fail(_: Any) -> None:
        raise RuntimeError("no")

    async with provider(Service(None, OSError())) as p:
        p.subscribe(fail, fail)
        p.subscribe(told.append, told.append)
        await asyncio.sleep(3600)
        assert len(told) == 3
        assert len(errors()) >= 2
        errors().clear()


@virtual
async def test_close_while_fetching_is_idempotent_and_final() -> None:
    p = provider(Service(delay=1000))
    p.subscribe(lambda _: None)
    waiting = asyncio.ensure_future(p.servers())
    await asyncio.sleep(1)
    await p.close()
    await p.close()
    assert p.state == "closed"
    with pytest.raises(InvalidStateError):
        await waiting
    calls: list[Callable[[], Any]] = [p.refresh, lambda: p.subscribe(lambda _: None)]
    for call in calls:
        with pytest.raises(InvalidStateError):
            call()
    with pytest.raises(InvalidStateError):
        await p.servers()


def test_another_loop_is_refused() -> None:
    p = provider(Service())

    @virtual
    async def use() -> None:
        await p.servers()

    use()
    with pytest.raises(InvalidStateError):
        use()


@pytest.mark.parametrize("options", [{"ttl": 0}, {"ttl": -1}])
def test_bad_arguments(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        provider(Service(), **options)
    with pytest.raises(TypeError):
        provider(None)


def test_repr() -> None:
    assert repr(provider(Service())) == "<IceServerProvider idle, 0 servers, 0 subscribers>"


ODD = {"urls": ["stun:a.example?transport=udp", "stun:b.example"]}


@virtual
@pytest.mark.parametrize("answer", [{"iceServers": [ODD]}, [ODD], IceServerGrant((RTCIceServer(**ODD),))])
async def test_an_odd_url_is_dropped_and_reported_once(answer: Any, caplog: pytest.LogCaptureFixture) -> None:
    servers = provider(Service(answer, answer))
    assert [s.urls for s in await servers.servers()] == [["stun:b.example"]]
    await asyncio.sleep(2)
    await servers.servers(fresh=True)
    assert servers.current is not None
    assert len(servers.current.dropped) == 1
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "stun:a.example" in caplog.text
    await servers.close()


@virtual
@pytest.mark.parametrize("ttl", [0.0001, 0.5, 1.9])
async def test_credentials_that_live_for_a_moment_are_not_fetched_in_a_loop(ttl: float) -> None:
    service = Service(ttl=ttl, delay=0.0)
    servers = provider(service)
    servers.subscribe(lambda grant: None)
    await asyncio.sleep(3600)
    assert len(service.calls) < 70
    gaps = [b - a for a, b in zip(service.calls, service.calls[1:], strict=False)]
    assert gaps == sorted(gaps)
    assert gaps[0] >= 0.99
    assert gaps[-1] == pytest.approx(60, abs=0.1)
    before = len(service.calls)
    for _ in range(1000):
        await servers.servers()
        await asyncio.sleep(0.01)
    # who asks meanwhile gets what there is, and makes a fetch once in a second
    assert len(service.calls) - before <= 11
    await servers.close()


@virtual
async def test_the_pace_is_as_before_when_lives_are_long_again() -> None:
    short = IceServerGrant((RTCIceServer(["stun:s.example"]),), 0.1)
    service = Service(*[short] * 6, ttl=100.0, delay=0.0)
    servers = provider(service)
    servers.subscribe(lambda grant: None)
    await asyncio.sleep(400)
    gaps = [b - a for a, b in zip(service.calls, service.calls[1:], strict=False)]
    assert [round(gap) for gap in gaps[:6]] == [1, 2, 4, 8, 16, 32]
    assert all(40 <= gap <= 80 for gap in gaps[6:])
    await servers.close()


@pytest.mark.skipif(not hasattr(asyncio, "eager_task_factory"), reason="Python 3.11 has no eager tasks")
@virtual
async def test_a_loop_with_eager_tasks_fetches_again_and_again():
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    calls = []

    def fetch() -> IceServerGrant:
        calls.append(1)
        return IceServerGrant((RTCIceServer([f"stun:{len(calls)}.example"]),), 100.0)

    async with IceServerProvider(fetch) as provider:
        for number in (1, 2, 3):
            (server,) = await provider.servers()
            assert server.urls == [f"stun:{number}.example"]
            await asyncio.sleep(1000)

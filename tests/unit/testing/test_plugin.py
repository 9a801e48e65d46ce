"""The plugin, used as a user uses it: in a pytest run of its own."""

import importlib.metadata
import re
import textwrap

import pytest

pytest_plugins = ["pytester"]


@pytest.fixture
def run(pytester, monkeypatch):
    def run(text):
        pytester.makepyfile(textwrap.dedent(text))
        pytester.makeini(
            "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
            "filterwarnings = error\n"
        )
        installed = importlib.metadata.entry_points(group="pytest11", name="rtcpeer")
        options = [] if installed else ["-p", "rtcpeer.testing.plugin"]
        return pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider", *options)

    return run


@pytest.mark.timeout(60)
def test_fixtures(run):
    result = run(
        """
        import asyncio, time, pytest
        from rtcpeer.testing import PeerPair

        async def test_outage(virtual_network, peer_pair):
            started = time.perf_counter()
            channel = peer_pair.offerer.createDataChannel("x")
            await peer_pair.connect()
            states = []
            peer_pair.offerer.addEventListener(
                "connectionstatechange", lambda event: states.append(peer_pair.offerer.connectionState))
            await virtual_network.hosts["bob"].link.outage_of(60)
            assert states == ["disconnected", "failed"]
            await peer_pair.restart_ice()
            assert peer_pair.offerer.connectionState == "connected"
            assert time.perf_counter() - started < 30

        async def relayed(server, network):
            configuration = {"iceServers": [server.ice_server()], "iceTransportPolicy": "relay"}
            async with PeerPair(configuration, network=network) as pair:
                await pair.connect()
                assert len(server.allocations) == 2
            await server.released()

        async def test_virtual(virtual_network, turn_server):
            assert turn_server.stun_url == "stun:turn.example:3478"
            await relayed(turn_server, virtual_network)

        async def test_real(turn_server):
            assert "127.0.0.1" in turn_server.stun_url
            await relayed(turn_server, None)

        async def test_peer_pair_on_real_sockets(peer_pair):
            await peer_pair.connect()

        @pytest.mark.virtual_network(seed=5, delay=0.1)
        async def test_marked(virtual_network):
            assert (virtual_network.seed, virtual_network.delay) == (5, 0.1)

        async def test_time(virtual_time):
            await asyncio.sleep(1000)
            # the clock begins at the loop's real time, in whose last digits the sum is rounded
            assert abs(virtual_time.elapsed - 1000) < 0.001
        """
    )
    result.assert_outcomes(passed=6)


def test_leaks_are_found(run):
    result = run(
        """
        import asyncio, socket, threading, pytest
        kept = []

        async def test_task(leak_check):
            kept.append(asyncio.create_task(asyncio.sleep(100), name="the task"))

        class Holder:
            def __init__(self):
                self.socket = socket.socket(type=socket.SOCK_DGRAM)
                self.socket.bind(("127.0.0.1", 0))

        async def test_socket(leak_check):
            kept.append(Holder())

        async def test_virtual_socket(virtual_network):
            host = virtual_network.add_host("a")
            await host.network.open_udp(host.address, 7777, print)

        async def test_thread(leak_check):
            kept.append(threading.Event())
            threading.Thread(target=kept[-1].wait, name="the thread", daemon=True).start()

        async def test_exception(leak_check):
            async def fail():
                raise LookupError("nobody looks")
            asyncio.create_task(fail())
            await asyncio.sleep(0.01)

        async def test_expected_exception(leak_check):
            asyncio.get_running_loop().call_exception_handler({"message": "expected"})
            assert leak_check.errors.pop()["message"] == "expected"

        async def test_failing_tests_say_only_why(leak_check):
            kept.append(socket.socket())
            assert False, "the reason"

        async def test_clean(leak_check):
            await asyncio.to_thread(print)
        """
    )
    result.assert_outcomes(passed=7, errors=5, failed=1)
    text = result.stdout.str()
    for sign in ("the task", "a socket is left: socket:", "7777", "the thread", "nobody looks"):
        assert sign in text
    # where it is bound, and whose it is
    assert re.search(
        r"a socket is left: socket:\[\d+\], UDP 127\.0\.0\.1:\d+, held by <test_\S+\.Holder ", text
    )


def test_a_socket_that_a_module_holds_is_named_by_its_variable(run):
    result = run(
        """
        import asyncio, socket

        async def test_bare(leak_check):
            global kept
            kept = socket.socket()

        async def test_transport(leak_check):
            global transport
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_datagram_endpoint(
                asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
        """
    )
    result.assert_outcomes(passed=2, errors=2)
    for name in ("kept", "transport"):
        assert re.search(
            rf"a socket is left: .*, held by {name} of the module test_\S+\n", result.stdout.str()
        )


def test_without_aiohttp_a_server_says_so(run):
    result = run(
        """
        import sys
        import pytest

        @pytest.fixture(autouse=True)
        def absent(monkeypatch):
            monkeypatch.setitem(sys.modules, "aiohttp", None)

        async def test_rooms(room_server):
            pass

        async def test_whep(whep_server):
            pass

        async def test_livekit(livekit_server):
            pass
        """
    )
    result.assert_outcomes(errors=3)
    for name, extra in (
        ("room_server", "signaling"),
        ("whep_server", "signaling"),
        ("livekit_server", "livekit"),
    ):
        assert (
            f"{name} needs aiohttp, which is not installed: pip install 'rtcpeer[{extra}]' "
            f"(in a checkout '.[{extra}]')" in result.stdout.str()
        )
    assert "Traceback" not in result.stdout.str()


def test_without_pytest_asyncio_it_says_so(run, monkeypatch):
    import sys

    from rtcpeer.testing import plugin

    monkeypatch.setitem(sys.modules, "pytest_asyncio", None)

    async def some_fixture():
        yield

    assert plugin._async_fixture(some_fixture) is not some_fixture


@pytest.fixture
def run_bare(pytester):
    """A pytest run in an empty project: no configuration at all."""

    def run(text):
        pytester.makepyfile(textwrap.dedent(text))
        installed = importlib.metadata.entry_points(group="pytest11", name="rtcpeer")
        options = [] if installed else ["-p", "rtcpeer.testing.plugin"]
        return pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider", *options)

    return run


@pytest.mark.timeout(60)
def test_an_empty_project_needs_no_configuration(run_bare):
    result = run_bare(
        """
        async def test_call(virtual_network, peer_pair):
            await peer_pair.connect()

        async def test_carrier(carrier_nat, peer_pair):
            assert set(carrier_nat.hosts) == {"alice", "bob"}
            await peer_pair.connect()

        async def test_train(train, peer_pair):
            await peer_pair.connect()

        async def test_hotel(hotel_wifi, turn_server):
            assert turn_server.stun_url.startswith("stun:turn.example")
        """
    )
    result.assert_outcomes(passed=4)


@pytest.mark.timeout(60)
def test_what_a_failure_says(run_bare):
    result = run_bare(
        """
        def test_plain(virtual_network):
            pass

        async def test_no_path(symmetric_nat, peer_pair):
            await peer_pair.connect(timeout=20)
        """
    )
    result.assert_outcomes(failed=1, errors=1)
    result.stdout.fnmatch_lines_random(
        [
            "*test_plain uses virtual_network, which lives on an event loop: write `async def test_plain`*",
            "*explain() of the offerer*",
            "*packets that the network dropped*",
            "* x *",
        ]
    )


def test_an_unknown_hostile_network():
    from rtcpeer.testing import hostile_network

    with pytest.raises(ValueError, match="no network 'plane'; there are hotel_wifi"):
        hostile_network("plane")


@pytest.mark.timeout(120)
def test_the_servers_and_the_scripted_peer(run_bare):
    result = run_bare(
        """
        import asyncio
        from rtcpeer import join
        from rtcpeer.calls import ParticipantJoined
        from rtcpeer.signaling import WhepClient, WhipClient
        from rtcpeer import SupervisedPeer
        from rtcpeer.testing import synthetic_track

        async def test_rooms(room_server):
            url = f"room+{room_server.url}?room=lobby"
            async with join(url, name="alice") as alice, join(url, name="bob"):
                async for event in alice.events():
                    if isinstance(event, ParticipantJoined):
                        assert event.participant.name == "bob"
                        break

        async def test_whip(whip_server):
            async with SupervisedPeer(WhipClient(f"{whip_server.url}/cam")) as peer:
                peer.addTrack(tone := synthetic_track("audio"))
                await peer.connected(20)
                assert [session.name for session in whip_server.sessions] == ["cam"]
            tone.stop()

        async def test_whep(whep_server):
            heard = asyncio.get_running_loop().create_future()
            peer = SupervisedPeer(WhepClient(f"{whep_server.url}/any"))
            peer.addEventListener("track", lambda event: heard.done() or heard.set_result(event.track))
            peer.addTransceiver("audio", {"direction": "recvonly"})
            async with peer:
                assert (await (await heard).recv()).sample_rate == 48000

        async def test_livekit(livekit_server):
            async with join(f"livekit+{livekit_server.url}", token=livekit_server.token("a", "lobby")) as call:
                assert livekit_server.joins == 1

        async def test_a_scripted_peer_says_what_it_waits_for(virtual_network, scripted_peer):
            await scripted_peer.call()

        async def test_not_on_a_virtual_network(virtual_network, room_server):
            pass
        """
    )
    result.assert_outcomes(passed=4, failed=1, errors=1)
    result.stdout.fnmatch_lines_random(
        [
            "*the call did not connect within 30 s:*",
            "*Our offer waits for the other side's answer*",
            "*room_server uses real sockets and real time*",
        ]
    )

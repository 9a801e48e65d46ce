"""Effects that fail: a description is never half applied, whichever of its parts breaks."""

import asyncio
import typing

import pytest

from rtcpeer.jsep import effects as fx
from rtcpeer.peer.session import executor
from tests.scenarios.virtual import PeerPair, scenario


class Broken(Exception):
    """What an effect fails with here."""


def breaking(monkeypatch, broken, connection):
    """Let each effect of one kind fail at one connection, and keep book of all that are carried out there."""
    done = {"failed": 0, "others": []}
    mine = connection._session_.executor

    def wrap(kind, real):
        def carry_out(self, effect):
            if self is mine:
                if kind is broken:
                    done["failed"] += 1
                    raise Broken(kind.__name__)
                done["others"].append(effect)
            real(self, effect)

        return carry_out

    monkeypatch.setattr(executor, "_EFFECTS", {k: wrap(k, f) for k, f in executor._EFFECTS.items()})
    return done


async def life(pair):
    """An offer that is taken back, a call with sound and data, a restart, and an end of the sound."""
    a, b = pair.offerer, pair.answerer
    a.addTransceiver("audio")
    a.createDataChannel("x")
    await b.setRemoteDescription(await a.createOffer())
    await b.setRemoteDescription({"type": "rollback"})
    await pair.negotiate()
    await asyncio.sleep(0.3)
    transceiver = a.getTransceivers()[0]
    transceiver.direction = "inactive"
    await pair.negotiate(iceRestart=True)
    a.addTransceiver("video")
    await a.setLocalDescription()
    await b.setRemoteDescription(a.localDescription)
    await b.setRemoteDescription({"type": "rollback"})
    await a.setLocalDescription({"type": "rollback"})
    transceiver.stop()
    await pair.negotiate()
    await asyncio.sleep(0.3)


SELDOM = {
    fx.AttachData,  # only when bundling moves data; see test_bundling
    fx.LocalCandidate,  # no description has it: it is carried out where candidates are found
}
KINDS = [k for k in typing.get_args(fx.Start) + typing.get_args(fx.Announce) if k not in SELDOM]


@pytest.mark.parametrize("side", ["offerer", "answerer"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
@scenario
async def test_the_description_is_applied_whole(scene, kind, side, monkeypatch):
    reported = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context))
    async with PeerPair(network=scene.network) as pair:
        broken = getattr(pair, side)
        done = breaking(monkeypatch, kind, broken)
        plans = []
        announce = broken._session_.executor.announce

        def record(plan):
            plans.append(plan)
            announce(plan)

        monkeypatch.setattr(broken._session_.executor, "announce", record)
        await life(pair)
        # nothing was raised, nothing was left out, and each failure is reported by name
        assert pair.offerer.signalingState == pair.answerer.signalingState == "stable"
        wanted = [e for plan in plans for e in (*plan.prepare, *plan.start, *plan.announce)]
        assert sorted(repr(e) for e in wanted if type(e) is not kind) == sorted(map(repr, done["others"]))
        failures = [c for c in reported if isinstance(c.get("exception"), Broken)]
        assert len(failures) == done["failed"] == sum(type(e) is kind for e in wanted)
        assert all(kind.__name__ in c["message"] for c in failures)
        # a transport without its vital part says that it has failed
        if done["failed"] and kind in executor._VITAL:
            assert broken.connectionState == "failed"
    monkeypatch.undo()


@scenario
async def test_what_was_prepared_for_a_plan_that_cannot_be_committed_is_let_go(scene, monkeypatch):
    async with PeerPair(network=scene.network) as pair:
        connection = pair.offerer
        connection.createDataChannel("x")
        connection.addTransceiver("audio")

        def refuse(_plan):
            raise fx.StalePlan

        with monkeypatch.context() as patch:
            patch.setattr(connection._session_.engine, "commit", refuse)
            with pytest.raises(fx.StalePlan):
                await connection.setLocalDescription()
        assert connection.signalingState == "stable"
        assert connection.sctp is None
        assert not connection._session_.executor.transports
        await pair.connect()

"""Remote procedure calls: answers, errors, time, and who may answer. In virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("rtcpeer.calls.livekit", reason="the extra livekit is not installed")

from rtcpeer.calls.livekit import rpc
from rtcpeer.calls.livekit.rpc import LiveKitRpc, LiveKitRpcError
from rtcpeer.errors import NetworkError
from rtcpeer.signaling.livekit.messages import models
from rtcpeer.testing import run_virtual


class Wire:
    """Two participants; a packet of one arrives at the other, unless it is lost."""

    def __init__(self) -> None:
        self.there = {"alice", "bob"}
        self.ignored: list[str] = []
        self.lost: set[str] = set()
        self.fails = False
        self.tasks: list[asyncio.Task[Any]] = []
        self.ends = {"alice": self._end("alice"), "bob": self._end("bob")}

    def _end(self, own: str) -> LiveKitRpc:
        async def send(packet: models.DataPacket, to: list[str]) -> None:
            if self.fails:
                raise NetworkError("no connection")
            if packet.WhichOneof("value") not in self.lost:
                for one in to:
                    self.ends[one].take(own, packet)

        return LiveKitRpc(
            send,
            self.there.__contains__,
            lambda coroutine, _: self.tasks.append(asyncio.ensure_future(coroutine)),
            lambda what, _: self.ignored.append(what),
        )


async def code_of(call: Any) -> int:
    with pytest.raises(LiveKitRpcError) as caught:
        await call
    return caught.value.code


def test_answers_and_errors() -> None:
    async def main() -> None:
        wire = Wire()
        alice, bob = wire.ends["alice"], wire.ends["bob"]

        async def slow(call: rpc.RpcInvocation) -> str:
            await asyncio.sleep(5)
            return f"{call.caller} waited {call.timeout:g}"

        def refuses(_: object) -> str:
            raise LiveKitRpcError(77, "not today", "data")

        bob.register("shout", lambda call: call.payload.upper())
        bob.register("slow", slow)
        bob.register("refuses", refuses)
        bob.register("long", lambda _: "x" * 20_000)
        bob.register("wrong", lambda _: 7)  # type: ignore[arg-type,return-value]
        assert await alice.call("bob", "shout", "hello") == "HELLO"
        assert await alice.call("bob", "slow") == "alice waited 15"
        with pytest.raises(LiveKitRpcError, match="not today") as caught:
            await alice.call("bob", "refuses")
        assert (caught.value.code, caught.value.reason, caught.value.data) == (77, "not today", "data")
        assert await code_of(alice.call("bob", "nothing")) == rpc.UNSUPPORTED_METHOD
        assert await code_of(alice.call("bob", "long")) == rpc.RESPONSE_PAYLOAD_TOO_LARGE
        assert await code_of(alice.call("bob", "wrong")) == rpc.APPLICATION_ERROR
        assert await code_of(alice.call("bob", "x", "x" * 20_000)) == rpc.REQUEST_PAYLOAD_TOO_LARGE
        assert await code_of(alice.call("carol", "x")) == rpc.RECIPIENT_NOT_FOUND
        bob.register("shout", None)
        assert await code_of(alice.call("bob", "shout")) == rpc.UNSUPPORTED_METHOD
        await asyncio.gather(*wire.tasks)
        assert wire.ignored == []

    run_virtual(main())


def test_a_method_that_fails_is_told_to_the_loop_and_to_the_caller() -> None:
    async def main() -> None:
        wire, told = Wire(), []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        wire.ends["bob"].register("broken", lambda call: {}[call.payload])
        assert await code_of(wire.ends["alice"].call("bob", "broken")) == rpc.APPLICATION_ERROR
        assert isinstance(told[0]["exception"], KeyError)

    run_virtual(main())


def test_time_and_silence() -> None:
    async def main() -> None:
        wire, loop = Wire(), asyncio.get_running_loop()
        alice, bob = wire.ends["alice"], wire.ends["bob"]
        bob.register("slow", lambda _: asyncio.sleep(60, "late"))
        began = loop.time()
        assert await code_of(alice.call("bob", "slow", timeout=10)) == rpc.RESPONSE_TIMEOUT
        assert loop.time() - began == pytest.approx(10, abs=0.1)
        wire.lost = {"rpc_request"}
        began = loop.time()
        assert await code_of(alice.call("bob", "slow")) == rpc.CONNECTION_TIMEOUT
        assert loop.time() - began == pytest.approx(7, abs=0.1)
        wire.lost = {"rpc_ack"}  # the answer is as good
        bob.register("quick", lambda _: "done")
        assert await alice.call("bob", "quick") == "done"
        wire.fails = True
        assert await code_of(alice.call("bob", "quick")) == rpc.SEND_FAILED
        wire.fails = False
        wire.lost = set()
        waiting = asyncio.ensure_future(alice.call("bob", "slow"))
        await asyncio.sleep(1)
        alice.gone("bob")
        assert await code_of(waiting) == rpc.RECIPIENT_DISCONNECTED
        waiting = asyncio.ensure_future(alice.call("bob", "slow"))
        await asyncio.sleep(1)
        alice.close()
        assert await code_of(waiting) == rpc.SEND_FAILED
        for task in wire.tasks:
            task.cancel()

    run_virtual(main())


def test_who_may_answer() -> None:
    """An answer of somebody else, of another version, twice, to nothing."""

    async def main() -> None:
        wire = Wire()
        alice = wire.ends["alice"]
        wire.lost = {"rpc_ack", "rpc_response"}
        calling = asyncio.ensure_future(alice.call("bob", "x"))
        await asyncio.sleep(0.1)
        (id_,) = alice._answers
        answer = models.DataPacket(rpc_response=models.RpcResponse(request_id=id_, payload="ours"))
        alice.take("mallory", answer)
        alice.take("bob", models.DataPacket(rpc_ack=models.RpcAck(request_id="unknown")))
        assert wire.ignored == ["answer to no call"] * 2
        alice.take("bob", answer)
        alice.take("bob", answer)
        assert await calling == "ours"
        assert wire.ignored == ["answer to no call"] * 3
        wire.lost = set()
        old = models.RpcRequest(id="1", method="x", version=9, response_timeout_ms=1000)
        wire.ends["bob"].take("alice", models.DataPacket(rpc_request=old))
        await asyncio.gather(*wire.tasks)
        assert len(wire.ignored) == 5  # its ack and its error answer nothing that alice knows

    run_virtual(main())

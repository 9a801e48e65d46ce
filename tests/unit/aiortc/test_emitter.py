"""pyee's emitter without its sharp edge."""

import asyncio
import logging

from rtcpeer.aiortc.emitter import Emitter


async def test_a_failing_listener_does_not_stop_the_others():
    emitter, told, reported = Emitter(), [], []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context))

    @emitter.on("x")
    def fails(value):
        raise RuntimeError(value)

    @emitter.on("x")
    async def fails_later(value):
        told.append(value)
        raise KeyError(value)

    emitter.on("x", told.append)
    assert emitter.emit("x", "v")
    await asyncio.sleep(0.01)
    assert told == ["v", "v"]
    assert [type(context["exception"]) for context in reported] == [RuntimeError, KeyError]
    asyncio.get_running_loop().set_exception_handler(None)


def test_without_a_loop_it_is_logged(caplog):
    emitter = Emitter()

    @emitter.once("x")
    def fails():
        raise RuntimeError

    with caplog.at_level(logging.ERROR, "rtcpeer"):
        emitter.emit("x")
    assert "listener of Emitter failed" in caplog.text
    assert not emitter.emit("x")
    assert not emitter.emit("error")


def test_who_listens_to_errors_gets_them():
    emitter, errors = Emitter(), []
    emitter.on("error", errors.append)

    @emitter.on("x")
    def fails():
        raise RuntimeError

    emitter.emit("x")
    assert [type(error) for error in errors] == [RuntimeError]
    emitter.remove_listener("x", fails)
    assert emitter.listeners("x") == []

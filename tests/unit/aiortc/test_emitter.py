"""pyee's emitter without its sharp edge."""

import asyncio
import logging

import aiortc
import pytest
from pyee.asyncio import AsyncIOEventEmitter

from rtcpeer import aiortc as dropin
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


@pytest.mark.parametrize(
    "name",
    [
        "RTCPeerConnection",
        "RTCDataChannel",
        "RTCDtlsTransport",
        "RTCIceTransport",
        "RTCIceGatherer",
        "RTCSctpTransport",
    ],
)
def test_what_is_an_emitter_in_aiortc_is_one_here(name):
    assert issubclass(getattr(aiortc, name), AsyncIOEventEmitter)
    assert issubclass(getattr(dropin, name), AsyncIOEventEmitter)


async def test_a_connection_has_the_methods_of_pyee():
    pc, told = dropin.RTCPeerConnection(), []
    first = pc.on("hello", lambda value: told.append(("on", value)))
    pc.once("hello", lambda value: told.append(("once", value)))
    pc.add_listener("hello", second := lambda value: told.append(("second", value)))

    @pc.listens_to("hello")
    async def third(value):
        told.append(("async", value))

    assert pc.emit("hello", 1)
    await asyncio.sleep(0)
    assert told == [("on", 1), ("once", 1), ("second", 1), ("async", 1)]
    assert pc.listeners("hello") == [first, second, third]
    assert "hello" in pc.event_names()
    pc.remove_listener("hello", second)
    assert pc.listeners("hello") == [first, third]
    pc.remove_all_listeners("hello")
    assert not pc.emit("hello", 2)
    await pc.close()


async def test_which_async_listeners_are_not_done():
    """`_waiting` is pyee's own."""
    emitter, gate, called = Emitter(), asyncio.Event(), []

    async def listener(value):
        await gate.wait()
        called.append(value)

    emitter.on("x", listener)
    emitter.on("x", lambda value: called.append(-value))
    (task,) = emitter._emit_and_tell_("x", 5)
    assert (called, task.done()) == ([-5], False)
    gate.set()
    await task
    assert called == [-5, 5]

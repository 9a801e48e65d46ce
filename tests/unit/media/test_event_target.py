from __future__ import annotations

import asyncio
import gc

import pytest

from rtcpeer.errors import InvalidStateError
from rtcpeer.media.event_target import (
    Event,
    EventTarget,
    close_events,
    fire,
    handler,
    has_listeners,
    listener_tasks,
)


class Thing(EventTarget):
    onping = handler("ping")
    onpong = handler("pong")


@pytest.fixture
def thing():
    return Thing()


@pytest.fixture
async def reports():
    """What reached the loop's exception handler."""
    found = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: found.append(context))
    return found


def test_listeners_are_called_in_order(thing):
    log = []
    thing.addEventListener("ping", lambda e: log.append(1))
    thing.onping = lambda e: log.append(2)
    thing.on("ping", lambda e: log.append(3))

    @thing.on("ping")
    def four(event):
        log.append(4)

    fire(thing, Event("ping"))

    assert log == [1, 2, 3, 4]
    assert callable(four)


def test_the_event_knows_its_target(thing):
    seen = []
    thing.onping = lambda e: seen.append((e.target, e.currentTarget, e.isTrusted, e.type))

    event = Event("ping")
    fire(thing, event)
    thing.dispatchEvent(event)

    assert seen == [(thing, thing, True, "ping"), (thing, thing, False, "ping")]
    assert event.target is thing
    assert event.currentTarget is None


def test_a_listener_is_added_once_and_can_be_removed(thing):
    log = []

    def listener(event):
        log.append(event)

    thing.addEventListener("ping", listener)
    thing.addEventListener("ping", listener, False)
    fire(thing, Event("ping"))
    thing.removeEventListener("ping", listener)
    thing.removeEventListener("ping", listener)
    thing.removeEventListener("other", listener)
    fire(thing, Event("ping"))

    assert len(log) == 1


def test_once_and_objects_and_none(thing):
    log = []

    class Handler:
        def handleEvent(self, event):
            log.append("object")

    thing.addEventListener("ping", lambda e: log.append("once"), {"once": True})
    thing.addEventListener("ping", Handler())
    thing.addEventListener("ping", None)
    fire(thing, Event("ping"))
    fire(thing, Event("ping"))

    assert log == ["once", "object", "object"]


@pytest.mark.parametrize("listener", [1, "f", object()])
def test_a_listener_that_is_none_is_a_type_error(thing, listener):
    with pytest.raises(TypeError):
        thing.addEventListener("ping", listener)


def test_signal(thing):
    class Signal(EventTarget):
        aborted = False

    log, signal, aborted = [], Signal(), Signal()
    aborted.aborted = True
    thing.addEventListener("ping", lambda e: log.append(1), {"signal": signal})
    thing.addEventListener("ping", lambda e: log.append(2), {"signal": aborted})

    fire(thing, Event("ping"))
    fire(signal, Event("abort"))
    fire(thing, Event("ping"))

    assert log == [1]


def test_handler_attributes(thing):
    log = []
    assert thing.onping is None
    first, second = (lambda e: log.append("first")), (lambda e: log.append("second"))
    thing.onping = first
    thing.addEventListener("ping", lambda e: log.append("listener"))
    thing.onping = second
    fire(thing, Event("ping"))
    # it kept its turn
    assert log == ["second", "listener"]
    assert thing.onping is second

    thing.onping = None
    thing.onping = "nonsense"
    assert thing.onping is None
    thing.onping = first
    fire(thing, Event("ping"))

    assert log[2:] == ["listener", "first"]


def test_the_same_function_as_handler_and_listener(thing):
    log = []
    thing.onping = log.append
    thing.addEventListener("ping", log.append)
    thing.removeEventListener("ping", log.append)
    fire(thing, Event("ping"))

    assert len(log) == 1


def test_changes_during_dispatch(thing):
    log = []

    def first(event):
        log.append("first")
        thing.removeEventListener("ping", second)
        thing.addEventListener("ping", lambda e: log.append("added"))

    def second(event):
        log.append("second")

    thing.addEventListener("ping", first)
    thing.addEventListener("ping", second)
    fire(thing, Event("ping"))

    assert log == ["first"]


def test_stopping_and_preventing(thing):
    log = []

    def first(event):
        event.preventDefault()
        event.stopPropagation()
        event.stopImmediatePropagation()

    thing.addEventListener("ping", first)
    thing.addEventListener("ping", log.append)

    assert thing.dispatchEvent(Event("ping"))
    assert not thing.dispatchEvent(Event("ping", {"cancelable": True}))
    assert log == []


def test_dispatch_of_what_is_no_event(thing):
    with pytest.raises(TypeError):
        thing.dispatchEvent("ping")
    with pytest.raises(TypeError):
        Event(3)


def test_dispatch_inside_dispatch(thing):
    errors = []

    def again(event):
        try:
            thing.dispatchEvent(event)
        except InvalidStateError as exc:
            errors.append(exc)

    thing.onping = again
    thing.dispatchEvent(Event("ping"))

    assert len(errors) == 1


async def test_a_failing_listener_stops_nobody(thing, reports):
    log = []
    thing.addEventListener("ping", lambda e: 1 / 0)
    thing.addEventListener("ping", lambda e: log.append(1))

    fire(thing, Event("ping"))

    assert log == [1]
    assert "'ping'" in reports[0]["message"]
    assert isinstance(reports[0]["exception"], ZeroDivisionError)


def test_a_failing_listener_without_a_loop_is_logged(thing, caplog):
    thing.onping = lambda e: 1 / 0

    fire(thing, Event("ping"))

    assert "'ping'" in caplog.text


async def test_async_listeners(thing, reports):
    log = []

    async def good(event):
        await asyncio.sleep(0)
        log.append(event.type)

    async def bad(event):
        raise ValueError("bad")

    thing.onping = good
    thing.addEventListener("ping", bad)
    fire(thing, Event("ping"))
    assert len(listener_tasks(thing)) == 2
    await asyncio.wait(listener_tasks(thing))
    await asyncio.sleep(0)

    assert log == ["ping"]
    assert [str(r["exception"]) for r in reports] == ["bad"]
    assert not listener_tasks(thing)


def test_an_async_listener_without_a_loop(thing, caplog):
    async def listener(event):
        pass

    thing.onping = listener
    fire(thing, Event("ping"))

    assert "'ping'" in caplog.text


async def test_iteration(thing):
    everything, pings = thing.events(), thing.events("ping")
    for kind in ("ping", "pong", "ping"):
        fire(thing, Event(kind))
    close_events(thing)

    assert [e.type async for e in pings] == ["ping", "ping"]
    assert [e.type async for e in everything] == ["ping", "pong", "ping"]
    assert [e async for e in thing.events()] == []


async def test_iteration_waits(thing):
    stream = thing.events("ping")
    reader = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    fire(thing, Event("pong"))
    await asyncio.sleep(0)
    assert not reader.done()

    fire(thing, Event("ping"))

    assert (await reader).type == "ping"


async def test_iteration_is_bounded_and_can_be_left(thing):
    async with thing.events("ping", bound=2) as stream:
        for _ in range(5):
            fire(thing, Event("ping"))
        assert stream.dropped == 3
        assert (await anext(stream)).type == "ping"
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_a_forgotten_iterator_costs_nothing(thing):
    for _ in range(10):
        thing.events("ping")
    gc.collect()
    stream = thing.events("ping")

    assert len(thing._streams_) == 1
    assert has_listeners(thing, "ping")
    await stream.aclose()


def test_has_listeners(thing):
    assert not has_listeners(thing, "ping")
    thing.onping = print
    assert has_listeners(thing, "ping")
    assert not has_listeners(thing, "pong")
    thing.onping = None
    assert not has_listeners(thing, "ping")


def test_a_repr(thing):
    assert repr(Event("ping")) == "<Event 'ping'>"

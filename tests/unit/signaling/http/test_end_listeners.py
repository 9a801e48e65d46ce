"""Listeners of a session's end: coroutines, exceptions, those that come late and those that never end."""

import asyncio
from typing import Any

from rtcpeer import RTCPeerConnection
from rtcpeer.signaling import WhipSession
from rtcpeer.testing import run_virtual


def make_session() -> WhipSession:
    return WhipSession("cam", "publish", "v=0\r\n", make_connection=RTCPeerConnection, gathering_time=0.1)


def test_a_coroutine_is_awaited_before_the_end_is_over() -> None:
    done = []

    async def stop(session: WhipSession) -> None:
        await asyncio.sleep(3)
        done.append(session.reason)

    async def main() -> None:
        session = make_session()
        session.add_end_listener(stop)
        await session.end("client")

    run_virtual(main())
    assert done == ["client"]


def test_an_exception_stops_neither_the_others_nor_the_end() -> None:
    reported: list[dict[str, Any]] = []
    called = []

    def plain(_: WhipSession) -> None:
        raise ValueError("plain")

    async def later(_: WhipSession) -> None:
        raise ValueError("later")

    async def main() -> str:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
        session = make_session()
        pc = session.pc
        for listener in (plain, later, called.append):
            session.add_end_listener(listener)
        await session.end("client")
        assert called == [session]
        return str(pc.connectionState)

    assert run_virtual(main()) == "closed"
    assert [str(context["exception"]) for context in reported] == ["plain", "later"]
    assert {context["message"] for context in reported} == {
        "an end listener of <WhipSession publish 'cam', ended> failed"
    }


def test_one_that_comes_after_the_end_is_called_at_once() -> None:
    called = []

    async def main() -> None:
        session = make_session()
        await session.end("failed")
        session.add_end_listener(called.append)
        assert called == [session]

    run_virtual(main())


def test_a_coroutine_may_end_the_session_again_and_what_never_ends_is_cancelled() -> None:
    seen = []

    async def again(session: WhipSession) -> None:
        await session.close()
        seen.append("closed again")

    async def for_ever(_: WhipSession) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("cancelled")

    async def main() -> float:
        session = make_session()
        session.add_end_listener(again)
        session.add_end_listener(for_ever)
        await session.end("server")
        return asyncio.get_running_loop().time()

    run_virtual(main())
    assert seen == ["closed again", "cancelled"]

import traceback

import aiortc
import pytest

from rtcpeer import errors
from rtcpeer.peer import errors as face
from rtcpeer.peer.errors import RTCError, to_face, w3c_errors

PAIRS = [
    (errors.InvalidStateError, face.InvalidStateError, aiortc.InvalidStateError),
    (errors.InvalidAccessError, face.InvalidAccessError, aiortc.InvalidAccessError),
    (errors.OperationError, face.OperationError, aiortc.exceptions.OperationError),
]


@pytest.mark.parametrize(("inner", "outer", "theirs"), PAIRS)
def test_what_leaves_is_caught_by_either_name(inner, outer, theirs):
    for caught in (inner, outer, theirs):
        with pytest.raises(caught) as info, w3c_errors:
            raise inner("no")
        assert type(info.value) is outer
        assert info.value.name == outer.__name__
        assert info.value.message == "no"


def test_data_cause_and_traceback_stay():
    error = errors.InvalidStateError("no", fault="remote")
    error.mid = "0"
    cause = KeyError("x")

    def deep():
        raise error from cause

    with pytest.raises(aiortc.InvalidStateError) as info, w3c_errors:
        deep()

    assert info.value is error
    assert info.value.fault == "remote"
    assert info.value.mid == "0"
    assert info.value.__cause__ is cause
    assert "deep" in [frame.name for frame in traceback.extract_tb(info.value.__traceback__)]


def test_other_exceptions_pass_unchanged():
    for error in (TypeError("t"), errors.RTCSyntaxError("s"), errors.NotSupportedError("n")):
        kind = type(error)
        assert to_face(error) is error
        assert type(error) is kind


def test_decorator_on_functions():
    @w3c_errors
    def call(value: int) -> int:
        """Doc."""
        if value < 0:
            raise errors.InvalidAccessError("negative")
        return value

    assert call(1) == 1
    assert call.__doc__ == "Doc."
    with pytest.raises(aiortc.InvalidAccessError):
        call(-1)


async def test_decorator_on_coroutine_functions():
    @w3c_errors
    async def call(value: int) -> int:
        if value < 0:
            raise errors.OperationError("negative")
        return value

    assert await call(1) == 1
    with pytest.raises(face.OperationError):
        await call(-1)


def test_rtc_error_from_below_gets_the_face_class():
    with pytest.raises(RTCError) as info, w3c_errors:
        raise errors.RTCError("sdp-syntax-error", "bad", sdpLineNumber=3)
    assert (info.value.errorDetail, info.value.sdpLineNumber) == ("sdp-syntax-error", 3)
    assert info.value.code == 0


def test_rtc_error_constructor():
    error = RTCError({"errorDetail": "sctp-failure", "sctpCauseCode": 12}, "gone")
    assert (error.name, error.message, error.errorDetail) == ("OperationError", "gone", "sctp-failure")
    assert (error.sctpCauseCode, error.sdpLineNumber, error.receivedAlert, error.sentAlert) == (
        12,
        None,
        None,
        None,
    )
    assert RTCError({"errorDetail": "dtls-failure"}).message == ""


@pytest.mark.parametrize(
    "init", [None, {}, {"errorDetail": "other"}, {"errorDetail": "sctp-failure", "sctpCauseCode": "x"}, 5]
)
def test_rtc_error_constructor_refuses(init):
    with pytest.raises(TypeError):
        RTCError(init)

"""Settings of a connection that cannot be meant are refused where they are written, by name."""

from typing import Any

import pytest

from rtcpeer import PeerSettings, RTCRangeError


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("ice", {"tcp": "both"}, TypeError),
        ("close_timeout", -1, RTCRangeError),
        ("close_timeout", None, TypeError),
        ("max_message_size", "1000", TypeError),
        ("max_data_channels", True, TypeError),
        ("max_picture_size", (4096, -1), RTCRangeError),
    ],
)
def test_what_cannot_be_meant(name: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=name):
        PeerSettings(**{name: value})

"""What an encoding says."""

from __future__ import annotations

import pytest

from rtcpeer.rtp.parameters import SendEncoding


@pytest.mark.parametrize(
    ("by", "to", "scale"),
    [(None, None, 1.0), (2.5, None, 2.5), (2.5, (320, 240), 1.0), (None, (320, 240), 1.0)],
)
def test_the_most_pixels_count_more_than_a_factor(by, to, scale):
    """webrtc-extensions, scaleResolutionDownTo: "scaleResolutionDownBy is ignored"."""
    assert SendEncoding(scale_resolution_down_by=by, scale_resolution_down_to=to).scale == scale

"""The signaling table (webrtc-pc 4.3.1, RFC 9429 3.2) and nothing else.

A (state, side, type) without a row is refused with InvalidStateError.
"""

from __future__ import annotations

from rtcpeer.values import SdpType, Side, SignalingState

_STABLE, _LOCAL_OFFER, _REMOTE_OFFER, _LOCAL_PRANSWER, _REMOTE_PRANSWER = (
    SignalingState.STABLE,
    SignalingState.HAVE_LOCAL_OFFER,
    SignalingState.HAVE_REMOTE_OFFER,
    SignalingState.HAVE_LOCAL_PRANSWER,
    SignalingState.HAVE_REMOTE_PRANSWER,
)
_LOCAL, _REMOTE = Side.LOCAL, Side.REMOTE
_OFFER, _PRANSWER, _ANSWER, _ROLLBACK = SdpType.OFFER, SdpType.PRANSWER, SdpType.ANSWER, SdpType.ROLLBACK

TRANSITIONS: dict[tuple[SignalingState, Side, SdpType], SignalingState] = {
    (_STABLE, _LOCAL, _OFFER): _LOCAL_OFFER,
    (_STABLE, _REMOTE, _OFFER): _REMOTE_OFFER,
    (_LOCAL_OFFER, _LOCAL, _OFFER): _LOCAL_OFFER,
    (_LOCAL_OFFER, _REMOTE, _ANSWER): _STABLE,
    (_LOCAL_OFFER, _REMOTE, _PRANSWER): _REMOTE_PRANSWER,
    (_LOCAL_OFFER, _LOCAL, _ROLLBACK): _STABLE,
    (_REMOTE_OFFER, _REMOTE, _OFFER): _REMOTE_OFFER,
    (_REMOTE_OFFER, _LOCAL, _ANSWER): _STABLE,
    (_REMOTE_OFFER, _LOCAL, _PRANSWER): _LOCAL_PRANSWER,
    (_REMOTE_OFFER, _REMOTE, _ROLLBACK): _STABLE,
    (_REMOTE_PRANSWER, _REMOTE, _PRANSWER): _REMOTE_PRANSWER,
    (_REMOTE_PRANSWER, _REMOTE, _ANSWER): _STABLE,
    (_LOCAL_PRANSWER, _LOCAL, _PRANSWER): _LOCAL_PRANSWER,
    (_LOCAL_PRANSWER, _LOCAL, _ANSWER): _STABLE,
}

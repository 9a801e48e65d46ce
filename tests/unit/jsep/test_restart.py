"""ICE: credentials, restarts from either side, roles, DTLS roles and certificates."""

from __future__ import annotations

import pytest

from rtcpeer.errors import InvalidAccessError
from rtcpeer.jsep.effects import (
    RollbackIce,
    SetIceRole,
    SetRemoteIce,
    StartData,
    StartDtls,
    StartIceGeneration,
)
from rtcpeer.sdp.text import parse_untrusted
from rtcpeer.values import DtlsRole, IceRole, SdpType
from tests.unit.jsep.support import Peer, host, negotiate, pair


def connected() -> tuple[Peer, Peer]:
    a, b = pair()
    a.track("audio", "s")
    a.want_data()
    negotiate(a, b)
    return a, b


def ufrag(peer: Peer) -> str:
    description = peer.state.local_description
    assert description is not None
    ice = description.session.media[0].ice
    assert ice is not None
    return ice.ufrag


def test_no_restart_without_reason() -> None:
    a, b = connected()
    old = ufrag(a), ufrag(b)
    negotiate(a, b)
    negotiate(b, a)
    assert (ufrag(a), ufrag(b)) == old
    assert next(len(g) for g in a.objects.generations.values() if g[0].ufrag == old[0]) == 1


@pytest.mark.parametrize("how", ["option", "restartIce"])
@pytest.mark.parametrize("by_answerer", [False, True])
def test_restart_makes_a_second_generation_on_both_sides(how: str, by_answerer: bool) -> None:
    a, b = connected()
    if by_answerer:
        a, b = b, a
    old = ufrag(a), ufrag(b)
    if how == "option":
        a.local(SdpType.OFFER, a.offer(ice_restart=True))
    else:
        a.carry_out(a.engine.operations.plan_restart_ice())
        assert a.engine.negotiation_needed()
        a.local()
    b.remote(SdpType.OFFER, a.state.local_description.text)  # type: ignore[union-attr]
    plan = b.carry_out(b.engine.plan_local())
    assert [type(e) for e in plan.start] == [StartIceGeneration, SetRemoteIce]
    plan = a.carry_out(a.engine.plan_remote(SdpType.ANSWER, b.state.local_description.text))  # type: ignore[union-attr]
    assert [type(e) for e in plan.start] == [SetRemoteIce]
    assert ufrag(a) != old[0]
    assert ufrag(b) != old[1]
    for peer in (a, b):
        assert not peer.engine.negotiation_needed()
        assert len(peer.objects.generations[0]) == 2
    negotiate(a, b)
    assert len(a.objects.generations[0]) == 2


def test_new_servers_restart_with_the_next_offer_but_do_not_ask_for_one() -> None:
    a, b = connected()
    old = ufrag(a)
    a.carry_out(a.engine.operations.plan_servers_changed())
    assert not a.engine.negotiation_needed()
    negotiate(b, a)  # an answer does not restart
    assert ufrag(a) == old
    negotiate(a, b)
    assert ufrag(a) != old
    new = ufrag(a)
    negotiate(a, b)
    assert ufrag(a) == new


def test_restart_ice_before_the_first_negotiation_does_nothing() -> None:
    a, _b = pair()
    a.carry_out(a.engine.operations.plan_restart_ice())
    assert not a.engine.negotiation_needed()


def test_restart_ice_is_satisfied_by_the_other_sides_restart() -> None:
    a, b = connected()
    a.carry_out(a.engine.operations.plan_restart_ice())
    b.carry_out(b.engine.operations.plan_restart_ice())
    negotiate(b, a)
    assert not a.engine.negotiation_needed()
    assert not b.engine.negotiation_needed()


def test_restart_ice_survives_a_remote_offer_and_an_answer_without_restart() -> None:
    a, b = connected()
    old = ufrag(a)
    a.carry_out(a.engine.operations.plan_restart_ice())
    negotiate(b, a)
    assert ufrag(a) == old
    assert a.engine.negotiation_needed()


def test_restart_ice_in_have_local_offer() -> None:
    a, b = connected()
    old = ufrag(a)
    b.remote(SdpType.OFFER, a.local())
    a.carry_out(a.engine.operations.plan_restart_ice())
    a.remote(SdpType.ANSWER, b.local())
    assert ufrag(a) == old
    assert a.engine.negotiation_needed()
    negotiate(a, b)
    assert ufrag(a) != old


def test_rollback_of_a_restart_goes_back_to_the_old_generation() -> None:
    a, b = connected()
    old = a.state.transports
    a.local(SdpType.OFFER, a.offer(ice_restart=True))
    plan = a.carry_out(a.engine.plan_local(SdpType.ROLLBACK))
    assert RollbackIce(0) in plan.start
    assert a.state.transports == old
    b.local(SdpType.OFFER, b.offer(ice_restart=True))
    a.remote(SdpType.OFFER, b.state.local_description.text)  # type: ignore[union-attr]
    plan = a.carry_out(a.engine.plan_remote(SdpType.ROLLBACK, ""))
    assert not [e for e in plan.start if isinstance(e, RollbackIce)]  # the answer would have begun it
    assert a.state.transports == old


def test_a_second_restart_offer_of_one_round() -> None:
    a, b = connected()
    a.local(SdpType.OFFER, a.offer(ice_restart=True))
    first = ufrag(a)
    assert a.local() == a.state.local_description.text  # type: ignore[union-attr]
    assert ufrag(a) == first
    a.local(SdpType.OFFER, a.offer(ice_restart=True))
    assert ufrag(a) != first
    b.remote(SdpType.OFFER, a.state.local_description.text)  # type: ignore[union-attr]
    a.remote(SdpType.ANSWER, b.local())


def test_a_partial_restart_of_unbundled_sections() -> None:
    a, b = pair()
    a.track("audio", "s")
    a.track("video", "s")
    strip = "a=group:BUNDLE 0 1\r\n"
    b.remote(SdpType.OFFER, a.local().replace(strip, ""))
    a.remote(SdpType.ANSWER, b.local())
    before = [m.ice for m in b.state.current_local.session.media]  # type: ignore[union-attr]
    assert before[0] != before[1]
    offer = a.offer(ice_restart=True)
    a.local(SdpType.OFFER, offer)
    head, second, third = offer.replace(strip, "").split("m=")
    old = a.state.stable.current_local.session.media[0].ice  # type: ignore[union-attr]
    new = parse_untrusted(offer).media[0].ice
    assert old is not None
    assert new is not None
    second = second.replace(new.ufrag, old.ufrag).replace(new.pwd, old.pwd)
    b.remote(SdpType.OFFER, "m=".join([head, second, third]))
    b.local()
    after = [m.ice for m in b.state.current_local.session.media]  # type: ignore[union-attr]
    assert after[0] == before[0]
    assert after[1] != before[1]


def test_roles_come_from_the_first_offer_and_stay() -> None:
    a, b = connected()
    assert a.state.transports[0].ice_role is IceRole.CONTROLLING
    assert b.state.transports[0].ice_role is IceRole.CONTROLLED
    plan = b.carry_out(b.engine.plan_local())
    assert not [e for e in plan.start if isinstance(e, SetIceRole)]


def test_we_control_a_lite_peer() -> None:
    a, b = pair()
    a.track("audio", "s")
    offer = a.local().replace("a=ice-options", "a=ice-lite\r\na=ice-options")
    plan = b.carry_out(b.engine.plan_remote(SdpType.OFFER, offer))
    assert SetIceRole(0, IceRole.CONTROLLING) in plan.start
    plan = b.carry_out(b.engine.plan_local())
    remote = next(e for e in plan.start if isinstance(e, SetRemoteIce))
    assert remote.remote.lite


@pytest.mark.parametrize(
    ("offered", "answered", "role"),
    [
        ("actpass", "active", DtlsRole.CLIENT),
        ("passive", "active", DtlsRole.CLIENT),
        ("active", "passive", DtlsRole.SERVER),
    ],
)
def test_setup_of_an_answer(offered: str, answered: str, role: DtlsRole) -> None:
    a, b = pair()
    a.track("audio", "s")
    b.remote(SdpType.OFFER, a.local().replace("a=setup:actpass", f"a=setup:{offered}"))
    assert f"a=setup:{answered}" in b.local()
    assert b.objects.dtls == {0: role}


def test_setup_of_later_answers_keeps_the_role() -> None:
    a, b = connected()
    a.remote(SdpType.OFFER, b.local())
    assert "a=setup:passive" in a.local()
    assert "a=setup:actpass" in b.offer.__self__.state.pending_local.text  # type: ignore[attr-defined, union-attr]


def test_an_answer_with_actpass_is_refused() -> None:
    a, b = pair()
    a.track("audio", "s")
    b.remote(SdpType.OFFER, a.local())
    answer = b.local()
    with pytest.raises(InvalidAccessError):
        a.engine.plan_remote(SdpType.ANSWER, answer.replace("a=setup:active", "a=setup:actpass"))


def test_another_certificate_is_another_association() -> None:
    a, b = connected()
    b.remote(SdpType.OFFER, a.local())
    answer = b.local().replace("AB:AB", "CD:CD")
    plan = a.carry_out(a.engine.plan_remote(SdpType.ANSWER, answer))
    dtls = [e for e in plan.start if isinstance(e, StartDtls)]
    assert len(dtls) == 1
    assert dtls[0].restart


def test_can_trickle() -> None:
    a, b = pair()
    a.track("audio", "s")
    text = a.local()
    assert b.state.can_trickle is None
    b.remote(SdpType.OFFER, text)
    assert b.state.can_trickle is True
    b.remote(SdpType.ROLLBACK, "")
    assert b.state.can_trickle is None
    b.remote(SdpType.OFFER, text.replace("a=ice-options:trickle ice2\r\n", ""))
    assert b.state.can_trickle is False
    assert "trickle" not in b.local()


def test_a_new_generation_has_gathered_nothing_yet() -> None:
    a, _b = connected()
    a.found(0, host())
    a.found(0, None)
    assert "a=end-of-candidates" in a.offer()
    a.local(SdpType.OFFER, a.offer(ice_restart=True))
    (transport,) = a.state.transports
    assert (transport.candidates, transport.gathered) == ((), False)
    assert "candidate" not in a.local()


def test_the_role_of_a_running_association_stays_whatever_an_answer_says() -> None:
    """RFC 8842 5.5; with another certificate there is another association, and the role is that of the answer."""
    a, b = connected()
    b.remote(SdpType.OFFER, a.local())
    text = b.local().replace("a=setup:active", "a=setup:passive")
    plan = a.engine.plan_remote(SdpType.ANSWER, text)
    assert not [e for e in plan.start if isinstance(e, StartDtls)]
    assert [t.dtls_role for t in plan.next.transports] == [DtlsRole.SERVER]
    plan = a.engine.plan_remote(SdpType.ANSWER, text.replace("AB:AB", "CD:CD"))
    assert [e.role for e in plan.start if isinstance(e, StartDtls)] == [DtlsRole.CLIENT]
    assert [t.dtls_role for t in plan.next.transports] == [DtlsRole.CLIENT]


@pytest.mark.parametrize(("line", "port"), [("", 5000), ("a=sctp-port:6000\r\n", 6000)])
def test_data_goes_to_the_port_of_the_other_side(line: str, port: int) -> None:
    """RFC 8841 5.2: without a=sctp-port it is 5000; RFC 8841 6: another limit of messages may come at any time."""
    a, b = pair()
    a.want_data()
    text = a.local().replace("a=sctp-port:5000\r\n", line)
    b.remote(SdpType.OFFER, text)
    plan = b.carry_out(b.engine.plan_local())
    assert [e.remote_port for e in plan.start if isinstance(e, StartData)] == [port]
    for size in (262144, 1000):
        b.remote(SdpType.OFFER, text.replace("max-message-size:262144", f"max-message-size:{size}"))
        plan = b.carry_out(b.engine.plan_local())
        again = [] if size == 262144 else [(port, size)]
        assert [(e.remote_port, e.max_message_size) for e in plan.start if isinstance(e, StartData)] == again

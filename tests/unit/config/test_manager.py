from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rtcpeer.config.configuration import RTCConfiguration, read_configuration
from rtcpeer.config.manager import ConfigurationManager, difference
from rtcpeer.errors import InvalidAccessError, InvalidModificationError, InvalidStateError, RTCSyntaxError

A = {"urls": "stun:a.example"}
B = {"urls": ["stun:b.example", "stun:c.example"]}
TURN = {"urls": "turn:t.example", "username": "u1", "credential": "hunter2"}


class Certificate:
    def __init__(self, days: float = 1) -> None:
        self.expires = datetime.now(UTC) + timedelta(days=days)

    def getFingerprints(self) -> list[Any]:
        return []


def test_replaces_whole() -> None:
    manager = ConfigurationManager({"iceServers": [A], "iceTransportPolicy": "relay"})
    change = manager.plan_set({})
    assert manager.current.iceTransportPolicy == "relay"
    manager.apply(change)
    assert manager.current == RTCConfiguration()
    assert manager.entries == ()


def test_get_is_a_copy_with_the_same_certificates() -> None:
    certificate = Certificate()
    manager = ConfigurationManager({"iceServers": [B], "certificates": [certificate]})
    copy = manager.get()
    assert copy == manager.current
    assert copy.certificates[0] is certificate
    copy.iceServers.clear()
    copy.certificates.clear()
    assert len(manager.current.iceServers) == 1
    manager.apply(manager.plan_set(manager.get()))
    assert manager.current == manager.get()


@pytest.mark.parametrize(
    ("new", "member"),
    [
        ({"bundlePolicy": "max-compat"}, "bundlePolicy"),
        ({}, "bundlePolicy"),
        ({"bundlePolicy": "max-bundle", "certificates": [Certificate()]}, "certificates"),
        ({"bundlePolicy": "max-bundle", "rtcpMuxPolicy": "negotiate"}, "rtcpMuxPolicy"),
        ({"bundlePolicy": "max-bundle", "iceCandidatePoolSize": 1}, "iceCandidatePoolSize"),
    ],
)
def test_what_cannot_change(new: dict[str, Any], member: str) -> None:
    manager = ConfigurationManager({"bundlePolicy": "max-bundle", "iceServers": [A]})
    before = manager.current
    with pytest.raises(InvalidModificationError, match=member):
        manager.plan_set(new, local_description_set=True)
    assert manager.current is before


def test_other_certificates_of_the_same_number_are_a_change() -> None:
    first, second = Certificate(), Certificate()
    manager = ConfigurationManager({"certificates": [first, second]})
    manager.plan_set({"certificates": [first, second]})
    for other in ([second, first], [first], [first, second, Certificate()], [first, Certificate()]):
        with pytest.raises(InvalidModificationError):
            manager.plan_set({"certificates": other})


def test_pool_size_may_change_before_a_local_description() -> None:
    manager = ConfigurationManager()
    change = manager.plan_set({"iceCandidatePoolSize": 255})
    assert change.difference.pool_size_changed
    assert not change.difference.restart_required
    manager.apply(change)
    assert manager.current.iceCandidatePoolSize == 255


def test_order_of_errors() -> None:
    manager = ConfigurationManager({"bundlePolicy": "max-bundle"})
    wrong_all = {"bundlePolicy": "balanced", "iceServers": [{"urls": ""}]}
    with pytest.raises(TypeError):
        manager.plan_set(wrong_all | {"iceTransportPolicy": "x"}, closed=True)
    with pytest.raises(InvalidStateError):
        manager.plan_set(wrong_all, closed=True)
    with pytest.raises(InvalidModificationError):
        manager.plan_set(wrong_all)
    with pytest.raises(RTCSyntaxError):
        manager.plan_set(wrong_all | {"bundlePolicy": "max-bundle"})
    assert manager.current == RTCConfiguration(bundlePolicy="max-bundle")


def test_expired_certificates_matter_only_in_the_beginning() -> None:
    certificate = Certificate()
    with pytest.raises(InvalidAccessError):
        ConfigurationManager({"certificates": [certificate]}, now=datetime.now(UTC) + timedelta(days=2))
    manager = ConfigurationManager({"certificates": [certificate]})
    certificate.expires -= timedelta(days=2)
    manager.plan_set({"certificates": [certificate], "iceServers": [A]})


def test_a_stale_plan_is_refused() -> None:
    manager = ConfigurationManager()
    first, second = manager.plan_set({"iceServers": [A]}), manager.plan_set({"iceServers": [B]})
    manager.apply(first)
    with pytest.raises(InvalidStateError):
        manager.apply(second)
    assert [e.url.host for e in manager.entries] == ["a.example"]


def test_difference() -> None:
    old = read_configuration(iceServers=[A, TURN])
    new = read_configuration(iceServers=[TURN, B, B])
    found = difference(old, new)
    assert [e.url.host for e in found.added] == ["b.example", "c.example"]
    assert [e.url.host for e in found.removed] == ["a.example"]
    assert [e.url.host for e in found.unchanged] == ["t.example"]
    assert found.restart_required
    assert not found.policy_changed
    assert found.touches("stun:a.example")
    assert not found.touches("turn:t.example")
    assert not found.touches(None)


def test_order_is_no_difference_but_credentials_are() -> None:
    old = read_configuration(iceServers=[A, TURN])
    assert not difference(old, read_configuration(iceServers=[TURN, A])).restart_required
    rotated = difference(old, read_configuration(iceServers=[A, TURN | {"credential": "new"}]))
    assert rotated.restart_required
    assert rotated.touches("turn:t.example")
    assert [e.url.host for e in rotated.unchanged] == ["a.example"]
    assert difference(old, read_configuration(old, iceTransportPolicy="relay")).restart_required


def test_repr_hides_credentials() -> None:
    manager = ConfigurationManager({"iceServers": [TURN]})
    assert "hunter2" not in repr(manager)
    assert "hunter2" not in repr(manager.plan_set({}))

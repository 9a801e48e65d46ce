"""The description objects that a program sees."""

from types import SimpleNamespace
from typing import Any

from rtcpeer.peer.session.shown_descriptions import ShownDescriptions
from rtcpeer.values import SdpType


def description(text: str) -> Any:
    return SimpleNamespace(type=SdpType.OFFER, text=text)


def test_an_attribute_gives_the_same_object_as_long_as_nothing_has_changed():
    shown = ShownDescriptions()
    assert shown.show(None) is None
    inforce = [description(str(number)) for number in range(4)]
    objects = [shown.show(one) for one in inforce]
    assert [shown.show(one) for one in inforce] == objects
    assert all(shown.show(one) is known for one, known in zip(inforce, objects, strict=True))
    assert objects[0].sdp == "0"
    assert objects[0].type == "offer"
    changed = shown.show(description("0"))
    assert changed is not objects[0]

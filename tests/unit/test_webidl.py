import dataclasses
from enum import StrEnum

import pytest

from rtcpeer import webidl


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Init:
    a: int = 1


class Json:
    def toJSON(self):
        return {"a": 3}


def test_members():
    assert webidl.members("Init", None) == {}
    assert webidl.members("Init", {"a": 2}, {"b": 3}, ("b",)) == {"a": 2, "b": 3}
    assert webidl.members("Init", Init(), {"a": 5}, webidl.names(Init)) == {"a": 5}
    assert webidl.members("Init", Json()) == {"a": 3}
    with pytest.raises(TypeError, match="Init must be a mapping or a dataclass, not int"):
        webidl.members("Init", 3)


@pytest.mark.parametrize("value", [-1, 65536, "1", None, True, float("nan"), float("inf"), 2**70])
def test_unsigned_refuses(value):
    with pytest.raises(TypeError, match="id must be"):
        webidl.unsigned("id", value, webidl.UNSIGNED_SHORT)


def test_unsigned():
    assert webidl.unsigned("id", 65535, webidl.UNSIGNED_SHORT) == 65535
    assert webidl.unsigned("id", 3.9) == 3
    assert webidl.optional_unsigned("id", None) is None
    assert webidl.optional_unsigned("id", 4) == 4


def test_strings():
    assert webidl.string("x", Colour.RED) == "red"
    assert webidl.usv_string("x", "a\ud800b") == "a\ufffdb"
    assert webidl.usv_string("x", "\U0001f600\u00e9") == "\U0001f600\u00e9"
    assert webidl.optional_string("x", None) is None
    with pytest.raises(TypeError, match="x must be a string, not None"):
        webidl.string("x", None)


def test_enumeration():
    assert webidl.enumeration("c", "red", Colour) is Colour.RED
    assert webidl.enumeration("c", Colour.BLUE, Colour) is Colour.BLUE
    with pytest.raises(TypeError, match="c must be one of 'red', 'blue', not 'green'"):
        webidl.enumeration("c", "green", Colour)
    with pytest.raises(TypeError):
        webidl.enumeration("c", 5, Colour)


def test_required():
    assert webidl.required("Init", {"a": 0}, "a") == 0
    with pytest.raises(TypeError, match="Init: the member 'a' is required"):
        webidl.required("Init", {"a": None}, "a")


@pytest.mark.parametrize("value", ["text", b"text", bytearray(b"text"), {"a": 1}, 5, None])
def test_what_is_no_sequence(value):
    with pytest.raises(TypeError, match="codecs must be a list, not"):
        webidl.sequence("codecs", value, "a list")


def test_sequences_are_copies():
    given = (1, 2)
    assert webidl.sequence("codecs", given) == [1, 2]
    assert webidl.sequence("codecs", iter(given)) == [1, 2]


@pytest.mark.parametrize("value", ["1", True, None, float("nan"), float("inf")])
def test_what_is_no_double(value):
    with pytest.raises(TypeError, match="rate must be a finite number"):
        webidl.double("rate", value)
    assert webidl.double("rate", 2) == 2.0


def test_present_leaves_out_what_is_none():
    assert webidl.present("Init", {"a": None, "b": 0}) == {"b": 0}

"""Records are dataclasses, in everything that can be asked of one."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from rtcpeer.records import record, replace


def point(make: Callable[..., Any], **options: Any) -> Any:
    """The same class made in two ways."""

    @make(**options)
    class Point:
        """A place."""

        x: int
        y: float = 0.5
        secret: str = field(default="s", repr=False, compare=False)
        more: list[int] = field(default_factory=list)
        total: float = field(init=False, compare=False, repr=False)

        def __post_init__(self) -> None:
            object.__setattr__(self, "total", self.x + self.y)

    return Point


OPTIONS = [
    {"frozen": frozen, "slots": slots, "eq": eq}
    for frozen in (False, True)
    for slots in (False, True)
    for eq in (False, True)
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_record_is_a_dataclass(options: dict[str, bool]) -> None:
    ours, theirs = point(record, **options), point(dataclass, **options)
    assert inspect.signature(ours) == inspect.signature(ours.__init__).replace(
        parameters=list(inspect.signature(ours.__init__).parameters.values())[1:]
    )
    assert str(inspect.signature(ours)) == str(inspect.signature(theirs))
    told = []
    for cls in (ours, theirs):
        a, b, c = cls(1), cls(1, secret="t"), cls(2, 3.0, more=[4])
        assert a.more is not b.more
        told.append((
            repr(a), repr(c), a == b, a == c, a != c, a == 1, a.__eq__(1), a.total, c.total, cls.__match_args__,
            [f.name for f in dataclasses.fields(cls)], dataclasses.asdict(c), hasattr(a, "__dict__"),
            cls.__hash__ is None, dataclasses.replace(c, x=7), dataclasses.replace(c, x=7) == c,
            copy.copy(c).more is c.more, copy.deepcopy(c).more == c.more, cls.__doc__, cls.__init__.__qualname__,
        ))  # fmt: skip
        for arguments, keywords in (((), {}), ((1, 2, 3, 4, 5), {}), ((1,), {"z": 2})):
            with pytest.raises(TypeError) as refused:
                cls(*arguments, **keywords)
            told[-1] += (str(refused.value),)
        if options["frozen"]:
            with pytest.raises(dataclasses.FrozenInstanceError) as refused_:
                a.x = 3
            if cls is ours or not options["slots"]:  # where the standard library's trips over its own class
                with pytest.raises(dataclasses.FrozenInstanceError):
                    a.unknown = 3
            with pytest.raises(dataclasses.FrozenInstanceError):
                del a.x
            told[-1] += (str(refused_.value),)
        else:
            a.x = 3
            assert a.x == 3
    assert repr(told[0]) == repr(told[1])


def test_hashes_are_those_of_the_values() -> None:
    @record(frozen=True, slots=True)
    class Key:
        a: int
        b: str = ""

    assert {Key(1, "x"), Key(1, "x"), Key(2, "x")} == {Key(1, "x"), Key(2, "x")}

    @record(frozen=True, slots=True)
    class Empty:
        pass

    assert Empty() == Empty()
    assert hash(Empty()) == hash(Empty())
    assert repr(Empty()).endswith("Empty()")


def test_what_a_class_writes_itself_stays() -> None:
    @record(frozen=True, slots=True)
    class Own:
        a: int

        def __repr__(self) -> str:
            return "own"

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 7

    assert (repr(Own(1)), Own(1) == Own(2), hash(Own(1))) == ("own", True, 7)


def test_one_record_derives_from_another_and_a_class_from_both() -> None:
    @record(slots=True)
    class Base:
        a: int
        b: int = 2

    @record(slots=True)
    class More(Base):
        c: int = 3

    class Special(More):
        def __init__(self, d: int) -> None:
            super().__init__(d, c=d)

    assert str(inspect.signature(Special)).startswith("(d: ")
    assert repr(Special(5)).endswith("Special(a=5, b=2, c=5)")
    assert More(1) == More(1, 2, 3)
    assert Base(1) != More(1)
    match More(1):
        case More(a, b, c):
            assert (a, b, c) == (1, 2, 3)


def test_a_subclass_of_a_frozen_one_has_attributes_of_its_own() -> None:
    @record(frozen=True)
    class Base:
        a: int

    class Sub(Base):
        pass

    sub = Sub(1)
    sub.more = 2  # type: ignore[attr-defined]
    with pytest.raises(dataclasses.FrozenInstanceError):
        sub.a = 3  # type: ignore[misc]
    del sub.more  # type: ignore[attr-defined]


@record(frozen=True, slots=True)
class Pickled:
    """At the top, where pickle finds it."""

    a: int
    b: tuple[int, ...] = ()


def test_frozen_ones_with_slots_are_pickled() -> None:
    assert pickle.loads(pickle.dumps(Pickled(1, (2,)))) == Pickled(1, (2,))


def test_a_kept_init_is_compiled_once() -> None:
    @record(slots=True)
    class Kept:
        a: int

    first = Kept.__init__
    one, two = object.__new__(Kept), object.__new__(Kept)
    first(one, 1)
    compiled = Kept.__init__
    first(two, 2)
    assert (one.a, two.a) == (1, 2)
    assert Kept.__init__ is compiled
    assert compiled is not first


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_record_with_other_values_is_what_dataclasses_make_of_it(options: dict[str, bool]) -> None:
    cls = point(record, **options)
    a = cls(2, 3.0, "t", [4])
    for changes in ({}, {"x": 7}, {"more": [], "y": 1.0}):
        assert repr(replace(a, **changes)) == repr(dataclasses.replace(a, **changes))
        assert replace(a, **changes).total == dataclasses.replace(a, **changes).total
    assert replace(a) is not a
    assert replace(a).more is a.more
    for unknown in ("z", "total"):  # one that is no argument is none here either
        with pytest.raises(TypeError, match=unknown):
            replace(a, **{unknown: 1})


def test_records_of_one_field_and_of_none_are_replaced() -> None:
    @record(frozen=True, slots=True)
    class One:
        a: int

    @record(frozen=True, slots=True)
    class Empty:
        pass

    assert replace(One(1), a=2) == One(2)
    assert replace(Empty()) == Empty()


def test_an_object_of_a_class_below_a_frozen_record_is_one_of_its_own_class() -> None:
    @record(frozen=True, slots=True)
    class Base:
        a: int
        b: int = 2
        c: int = 3
        d: int = 4

    class Sub(Base):
        pass

    for cls in (Base, Sub):
        made = replace(cls(1), d=5)
        assert type(made) is cls
        assert (made.a, made.b, made.c, made.d) == (1, 2, 3, 5)
        with pytest.raises(dataclasses.FrozenInstanceError):
            made.a = 2  # type: ignore[misc]

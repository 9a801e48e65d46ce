"""Dataclasses that cost little to define: what the package writes ``@record(...)`` for.

Owns: how the methods of a record come to be, and `replace`.  Never: what a record is; its fields, `dataclasses.fields`,
`asdict`, pattern matching and what type checkers say of it are those of a dataclass.

Theory of operation. A dataclass of the standard library writes each of its methods as source and compiles it: six times
for one that is frozen. The package has more than a hundred of them, and their methods were a third of what it takes to
import it. Here ``__init__`` alone is compiled, when the first object is made or somebody asks for its signature; the
other methods are closures over the fields.

The fields of a frozen record cannot be set by plain assignments, and a call of ``object.__setattr__`` for each takes
five times as long. So an object is made as one of a class with the same slots that is not frozen, and then becomes
one of its own class.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
import reprlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

__all__ = ["record", "replace"]

Fields = tuple[dataclasses.Field[Any], ...]

# with fewer fields, to change the class of an object twice takes longer than to set them
_TWIN_FROM = 4


class _Factory:
    """The default in a signature that is made anew for each object."""

    def __repr__(self) -> str:
        return "<factory>"


_FACTORY = _Factory()


def _record(
    *, frozen: bool = False, slots: bool = False, eq: bool = True
) -> Callable[[type[Any]], type[Any]]:
    """Make a dataclass of a class; the arguments are those of `dataclasses.dataclass`."""
    return functools.partial(_make, frozen=frozen, slots=slots, eq=eq)


def _make(cls: type[Any], *, frozen: bool, slots: bool, eq: bool) -> type[Any]:
    written = vars(cls)
    cls = dataclasses.dataclass(init=False, repr=False, eq=False, slots=slots)(cls)
    fields = dataclasses.fields(cls)
    added: dict[str, Any] = {"__repr__": _repr}
    if eq:
        key = _key([field.name for field in fields if field.compare])
        added["__eq__"] = _equality(key)
        if written.get("__hash__") is None:  # as Python does it: what compares has no hash of its own
            setattr(cls, "__hash__", _hashing(key) if frozen else None)  # noqa: B010  # for type checkers
    if frozen:
        added |= _guards(cls, frozenset(field.name for field in fields))
        if slots:  # or it could neither be copied nor pickled
            added |= {"__getstate__": _getstate, "__setstate__": _setstate}
    if "__init__" not in written:
        compiling = _Compiling(cls, fields, frozen=frozen)
        added |= {"__init__": compiling.init, "__signature__": compiling}
    for name, method in added.items():
        if name not in written:
            setattr(cls, name, method)
    return cls


def _key(names: list[str]) -> Callable[[Any], Any]:
    """The function that gives the values by which objects are compared."""
    return operator.attrgetter(*names) if names else lambda _: ()


def _equality(key: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    def equals(self: Any, other: Any) -> Any:
        return key(self) == key(other) if other.__class__ is self.__class__ else NotImplemented

    return equals


def _hashing(key: Callable[[Any], Any]) -> Callable[[Any], int]:
    return lambda self: hash(key(self))


@reprlib.recursive_repr()
def _repr(self: Any) -> str:
    shown = (
        f"{field.name}={getattr(self, field.name)!r}" for field in dataclasses.fields(self) if field.repr
    )
    return f"{self.__class__.__qualname__}({', '.join(shown)})"


def _guards(cls: type[Any], names: frozenset[str]) -> dict[str, Any]:
    """No field is set nor deleted; what a subclass adds may be."""

    def set_(self: Any, name: str, value: Any) -> None:
        if type(self) is cls or name in names:
            raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")
        super(cls, self).__setattr__(name, value)

    def delete(self: Any, name: str) -> None:
        if type(self) is cls or name in names:
            raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
        super(cls, self).__delattr__(name)

    return {"__setattr__": set_, "__delattr__": delete}


def _getstate(self: Any) -> list[Any]:
    return [getattr(self, field.name) for field in dataclasses.fields(self)]


def _setstate(self: Any, state: list[Any]) -> None:
    for field, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)


class _Compiling:
    """The ``__init__`` of one record, until it is needed. As ``__signature__`` it is what `inspect` asks first."""

    def __init__(self, cls: type[Any], fields: Fields, *, frozen: bool) -> None:
        self._cls, self._fields, self._frozen = cls, fields, frozen

        def init(*args: Any, **kwargs: Any) -> None:
            self.compiled(*args, **kwargs)

        self.init = init
        init.__qualname__ = f"{cls.__qualname__}.__init__"

    def __get__(self, instance: object, owner: type[Any] | None = None) -> NoReturn:
        _ = self.compiled
        raise AttributeError("__signature__")  # that of __init__ is it

    @functools.cached_property
    def compiled(self) -> Callable[..., None]:
        """The compiled one, which has taken the place of the first."""
        function = _compile_init(self._cls, self._fields, frozen=self._frozen)
        self._cls.__init__ = function
        return function


def _twin(cls: type[Any]) -> type[Any] | None:
    """A class with the slots of a frozen record that is not frozen; None where an object cannot be of both in turn."""
    if cls.__bases__ != (object,) or "__slots__" not in vars(cls):
        return None
    return type(cls.__name__, (), {"__slots__": cls.__slots__})


def _compile_init(cls: type[Any], fields: Fields, *, frozen: bool) -> Callable[..., None]:
    scope: dict[str, Any] = {"_factory": _FACTORY, "_set": object.__setattr__}
    parameters: list[str] = []
    values: dict[str, str] = {}
    for field in fields:
        name = value = field.name
        default = f"_of_{name}"
        if field.default_factory is not dataclasses.MISSING:
            scope[default] = field.default_factory
            value = f"{default}() if {name} is _factory else {name}" if field.init else f"{default}()"
            parameter = f"{name}=_factory"
        elif field.default is not dataclasses.MISSING:
            scope[default] = field.default
            value = name if field.init else default
            parameter = f"{name}={default}"
        elif field.init:
            parameter = name
        else:
            continue
        if field.init:
            parameters.append(parameter)
        values[name] = value
    lines = [f"self.{name} = {value}" for name, value in values.items()]
    if frozen:
        lines = [f"_set(self, {name!r}, {value})" for name, value in values.items()]
        twin = _twin(cls) if len(values) >= _TWIN_FROM else None
        if twin is not None:
            scope |= {"_own": cls, "_twin": twin}
            lines = [
                "if self.__class__ is _own:",
                " _set(self, '__class__', _twin)",
                *(f" self.{name} = {value}" for name, value in values.items()),
                " self.__class__ = _own",
                "else:",  # one of a subclass
                *(f" {line}" for line in lines),
            ]
    if hasattr(cls, "__post_init__"):
        lines.append("self.__post_init__()")
    body = "\n  ".join(lines or ["pass"])
    source = (
        f"def make({', '.join(scope)}):\n"
        f" def __init__(self, {', '.join(parameters)}):\n"
        f"  {body}\n"
        " return __init__"
    )
    made: dict[str, Any] = {}
    exec(source, {}, made)
    function: Callable[..., None] = made["make"](**scope)
    function.__qualname__ = f"{cls.__qualname__}.__init__"
    function.__annotations__ = {field.name: field.type for field in fields if field.init} | {"return": None}
    return function


@functools.cache
def _reader(cls: type[Any]) -> tuple[dict[str, int], Callable[[Any], Any]]:
    """The places of the arguments of a record's ``__init__``, and the function that gives their values in an object."""
    names = [field.name for field in dataclasses.fields(cls) if field.init]
    # of one name alone `attrgetter` would give no tuple
    return {name: place for place, name in enumerate(names)}, operator.attrgetter(
        "__class__", "__class__", *names
    )


def _replace(obj: Any, /, **changes: Any) -> Any:
    """A record with other values in some fields: what `dataclasses.replace` gives, in half the time."""
    places, read = _reader(obj.__class__)
    _, cls, *values = read(obj)
    for name, value in changes.items():
        if name not in places:
            raise TypeError(f"{cls.__name__} is not made with {name!r}")
        values[places[name]] = value
    return cls(*values)


if TYPE_CHECKING:
    from dataclasses import dataclass as record
    from dataclasses import replace
else:
    record, replace = _record, _replace

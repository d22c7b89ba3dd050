"""`record`: a frozen dataclass that costs little to define. It must not know what is recorded.

The standard library compiles six functions for each frozen dataclass when it is defined, most of which nobody calls: for some 250
of them 40 % of the start of a program. Records share one function for each purpose; only `__init__` is compiled, when the
first one is made. dataclasses.fields, replace and asdict, copy, pickle and type checkers see a dataclass as any other.

It has no options: who needs another dataclass (changeable, ordered, with slots) takes that of the standard library.
"""

from __future__ import annotations

import dataclasses
import operator
import reprlib
from collections.abc import Callable
from functools import cache
from typing import Any, NoReturn, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field, dataclasses.Field))
def record(cls: type[T]) -> type[T]:
    """What dataclass(frozen=True) makes of a class; a method that the class has itself is kept."""
    own = {name for name, value in vars(cls).items() if value is not None}  # __hash__ is None beside an own __eq__
    made = dataclasses.dataclass(init=False, repr=False, eq=False)(cls)
    shared = {
        "__init__": _first_init(made), "__repr__": _repr, "__eq__": _eq, "__hash__": _hash,
        "__setattr__": _setattr, "__delattr__": _delattr,
    }  # fmt: skip
    for name, method in shared.items():
        if name not in own:
            setattr(made, name, method)
    return made


def _first_init(cls: type[Any]) -> Callable[..., None]:
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        init = _compiled_init(cls)
        cls.__init__ = init
        init(self, *args, **kwargs)

    return __init__


def _compiled_init(cls: type[Any]) -> Callable[..., None]:
    """The `__init__` of a dataclass of the standard library with the same fields."""
    namespace = {"__module__": cls.__module__, "__doc__": cls.__doc__}
    if hasattr(cls, "__post_init__"):
        namespace["__post_init__"] = None  # only that there is one counts here: it is called by name
    like = dataclasses.make_dataclass(
        cls.__name__, [(field.name, field.type, field) for field in dataclasses.fields(cls)],
        namespace=namespace, repr=False, eq=False, frozen=True,
    )  # fmt: skip
    init: Callable[..., None] = vars(like)["__init__"]
    return init


@cache
def _compared(cls: type[Any]) -> Callable[[Any], object]:
    names = [field.name for field in dataclasses.fields(cls) if field.compare]
    return operator.attrgetter(*names) if names else lambda _: ()


def _eq(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    values = _compared(self.__class__)
    return values(self) == values(other)


def _hash(self: Any) -> int:
    return hash(_compared(self.__class__)(self))


@reprlib.recursive_repr()
def _repr(self: Any) -> str:
    shown = [f"{field.name}={getattr(self, field.name)!r}" for field in dataclasses.fields(self) if field.repr]
    return f"{self.__class__.__qualname__}({', '.join(shown)})"


def _setattr(self: Any, name: str, value: object) -> NoReturn:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _delattr(self: Any, name: str) -> NoReturn:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")

"""Records behave as the frozen dataclasses of the standard library that they stand for."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from dataclasses import field
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.records import record

VALUES = st.one_of(st.integers(), st.text(max_size=3), st.none(), st.tuples(st.integers()))
DEFAULT, FACTORY, HIDDEN, UNCOMPARED = "default", "factory", "repr=False", "compare=False"


def both(kinds: list[str]) -> tuple[type[Any], type[Any]]:
    """The same class as a record and as a dataclass of the standard library."""
    made = []
    for make in (record, dataclasses.dataclass(frozen=True)):
        body: dict[str, Any] = {"__annotations__": {}, "__module__": __name__, "__doc__": "Both."}
        for number, kind in enumerate(sorted(kinds, key=lambda kind: kind in (DEFAULT, FACTORY))):
            body["__annotations__"][f"f{number}"] = "Any"
            if kind == DEFAULT:
                body[f"f{number}"] = number
            elif kind == FACTORY:
                body[f"f{number}"] = field(default_factory=tuple)
            elif kind == HIDDEN:
                body[f"f{number}"] = field(repr=False)
            elif kind == UNCOMPARED:
                body[f"f{number}"] = field(compare=False)
        made.append(make(type("Both", (), body)))
    return made[0], made[1]


def done(call: Any) -> tuple[str, str]:
    """What came of it, as text, or how it failed."""
    try:
        return "", repr(call())
    except (TypeError, AttributeError) as exc:
        return type(exc).__name__, str(exc)


@given(
    kinds=st.lists(st.sampled_from(["plain", DEFAULT, FACTORY, HIDDEN, UNCOMPARED]), max_size=5),
    some=st.lists(VALUES, max_size=6),
    others=st.lists(VALUES, max_size=6),
    named=st.dictionaries(st.sampled_from(["f0", "f1", "f4", "odd"]), VALUES, max_size=2),
)
def test_a_record_is_what_the_standard_library_makes(
    kinds: list[str], some: list[Any], others: list[Any], named: dict[str, Any]
) -> None:
    ours, theirs = both(kinds)
    seen = []
    for made in (ours, theirs):
        said = [done(lambda made=made: made(*some, **named)), done(lambda made=made: made(*others))]
        said += [made.__match_args__, [(one.name, one.type, one.default) for one in dataclasses.fields(made)]]
        if not said[0][0] and not said[1][0]:
            one, other = made(*some, **named), made(*others)
            said += [one == other, one == made(*some, **named), one != 1, hash(one) == hash(made(*some, **named))]
            said += [repr(copy.deepcopy(one)), dataclasses.asdict(one), len({one, other})]
            said += [done(lambda one=one: dataclasses.replace(one, **named)), vars(one)]
            said += [done(lambda one=one: setattr(one, "f0", 1)), done(lambda one=one: delattr(one, "f0"))]
        seen.append(said)
    assert seen[0] == seen[1]


@record
class Base:
    """With a default of its own."""

    KIND: ClassVar[str] = "base"
    name: str
    parts: list[Any] = field(default_factory=list, repr=False)


@record
class Derived(Base):
    """Adds a field, and looks at what it is given."""

    KIND = "derived"
    count: int = 0

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ValueError("below nothing")

    def __repr__(self) -> str:
        return f"<{self.name}>"


def test_fields_and_checks_are_inherited_in_their_order() -> None:
    one = Derived("a", [1], 2)
    assert (one.name, one.parts, one.count, one.KIND, repr(one)) == ("a", [1], 2, "derived", "<a>")
    assert Derived("a") == Derived("a", [], 0) != Base("a") and Derived("a").parts is not Derived("a").parts
    with pytest.raises(ValueError, match="below nothing"):
        dataclasses.replace(one, count=-1)
    assert repr(Base("b", [])) == "Base(name='b')" and pickle.loads(pickle.dumps(one)) == one


def test_nothing_of_a_record_is_changed() -> None:
    one = Base("a")
    for name in ("name", "parts", "new"):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(one, name, 1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        del one.name
    assert one.name == "a"


def test_an_own_equality_keeps_the_hash_and_a_record_may_hold_itself() -> None:
    @record
    class Loose:
        """Equal to all of its kind."""

        name: str

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Loose)

    assert Loose("a") == Loose("b") and hash(Loose("a")) == hash(Loose("a")) != hash(Loose("b"))
    one = Base("a", [])
    shown = record(type("Shown", (), {"__annotations__": {"it": "Any"}, "__doc__": "Shows."}))
    two = shown([])
    two.it.append(two)
    assert repr(two) == f"{shown.__qualname__}(it=[...])" and one.parts == []

"""What conditions come to for arrivals of the past: taken apart into clauses, each distinct clause asked once for equal values.
It must not weigh what follows; `judge` does.

Most rules are clauses about one or two values, joined by and, or, not. What a clause comes to is remembered by these values;
what all clauses came to is the key under which decisions are remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Any

from protocol.routing.backtest.cases import Past, Reads, is_unusual
from protocol.routing.backtest.images import alone, over_images
from protocol.routing.rules.compiler import CompiledRule
from protocol.routing.rules.nodes import Always, Clause, Logic, Not
from protocol.routing.rules.values import Truth

UNTOLD = len(Truth)
"""Stands beside the places of Truth: the kept values cannot tell."""
REMEMBERED = 50_000  # values of each clause
_PLACES = {truth: at for at, truth in enumerate(Truth)}
_TRUE, _FALSE, _UNKNOWN, _ERROR = (_PLACES[one] for one in (Truth.TRUE, Truth.FALSE, Truth.UNKNOWN, Truth.ERROR))
_NEGATED = {_TRUE: _FALSE, _FALSE: _TRUE}
_ALWAYS_OTHER = "ReceivedAt"
Answers = tuple[int, ...]
"""What each remembered clause comes to for one arrival."""
Asked = Callable[[Answers, Past], int]


class _Leaf:
    """A clause whose answer depends on a few values of the row alone."""

    __slots__ = ("condition", "pick", "unusual", "memory")

    def __init__(self, condition: CompiledRule, places: list[int], unusual: list[tuple[int, str]]) -> None:
        self.condition, self.unusual = condition, unusual
        self.pick: Callable[[Any], Any] = itemgetter(*places)
        self.memory: dict[Any, int] = {}

    def ask(self, past: Past) -> int:
        if self.unusual and _unread(self.unusual, past):
            return UNTOLD
        return _PLACES[self.condition.result(past.subject)]

    def remember(self, past: Past, key: Any) -> int:
        if self.unusual and any(past.row[at] is None for at, _ in self.unusual):
            return self.ask(past)  # what absence means depends on the time, too
        if len(self.memory) >= REMEMBERED:
            self.memory.clear()
        found = self.memory[key] = self.ask(past)
        return found


class Truths:
    """The clauses of several configurations."""

    def __init__(self, reads: Reads, *, remember: bool = True) -> None:
        self._reads, self._remember = reads, remember
        self._numbers: dict[str, int] = {}
        self._leaves: list[_Leaf] = []

    def ask(self, past: Past) -> Answers:
        """What every remembered clause comes to. An addendum is asked anew: it shows more than its own values."""
        if past.record.earlier or not self._remember:
            return tuple([leaf.ask(past) for leaf in self._leaves])
        answers, row = [], past.row
        for leaf in self._leaves:
            key = leaf.pick(row)
            found = leaf.memory.get(key)
            answers.append(leaf.remember(past, key) if found is None else found)
        return tuple(answers)

    def of(self, conditions: Iterable[CompiledRule]) -> Picked:
        """Take conditions on, before anything is asked."""
        return Picked([self._taken(one) for one in conditions], self)

    def _taken(self, condition: CompiledRule) -> tuple[Asked, set[int], bool]:
        """How it is asked, which leaves it needs, and whether it needs more than leaves."""
        leaves: set[int] = set()
        slow: list[bool] = []
        asked = self._clause(condition.tree, condition, leaves, slow)
        return asked, leaves, bool(slow)

    def _clause(self, clause: Clause, whole: CompiledRule, leaves: set[int], slow: list[bool]) -> Asked:
        match clause:
            case Always(value=value):
                always = _TRUE if value else _FALSE
                return lambda answers, past: always
            case Logic(operator=operator, clauses=clauses):
                parts = self._parts(clauses, whole, leaves, slow)
                return _joined(parts, _FALSE, _TRUE) if operator == "and" else _joined(parts, _TRUE, _FALSE)
            case Not(clause=inner):
                part = self._clause(inner, whole, leaves, slow)
                return lambda answers, past: _NEGATED.get(truth := part(answers, past), truth)
        condition = alone(clause)
        number = None if condition is None else self._leaf(condition)
        if condition is None or number is None:
            slow.append(True)
            fast = over_images(clause) if self._remember and condition is not None else None
            return _each_time(condition or whole, self._reads, fast)
        leaves.add(number)
        return lambda answers, past: answers[number]

    def _parts(self, clauses: Iterable[Clause], whole: CompiledRule, leaves: set[int], slow: list[bool]) -> list[Asked]:
        """The clauses of an `and` or `or`, those that are remembered first: often they decide."""
        first, last = list[Asked](), list[Asked]()
        for clause in clauses:
            before = len(slow)
            part = self._clause(clause, whole, leaves, slow)
            (first if len(slow) == before else last).append(part)
        return first + last

    def _leaf(self, condition: CompiledRule) -> int | None:
        """Its number; None if it must be asked each time."""
        places = [self._reads.place[name] for name in condition.names if name in self._reads.place]
        if (
            condition.over_images
            or _ALWAYS_OTHER in condition.names
            or len(places) != len(condition.names)
            or not places
        ):
            return None
        found = self._numbers.get(condition.text)
        if found is None:
            unusual = [(self._reads.place[name], name) for name in condition.names if is_unusual(name)]
            found = self._numbers[condition.text] = len(self._leaves)
            self._leaves.append(_Leaf(condition, places, unusual))
        return found


class Picked:
    """The conditions of one configuration among all."""

    def __init__(self, taken: list[tuple[Asked, set[int], bool]], truths: Truths) -> None:
        self._asked = [asked for asked, _, _ in taken]
        self._slow = [asked for asked, _, slow in taken if slow]
        leaves = sorted({number for _, numbers, _ in taken for number in numbers})
        self._pick: Callable[[Answers], Any] = itemgetter(*leaves) if leaves else lambda answers: ()

    def key(self, answers: Answers, past: Past) -> Any:
        """All that the conditions come to, as one hashable value."""
        key = self._pick(answers)
        return (key, *[asked(answers, past) for asked in self._slow]) if self._slow else key

    def truths(self, answers: Answers, past: Past) -> tuple[int, ...]:
        """What each condition comes to, in their order, as a place of Truth or UNTOLD."""
        return tuple([asked(answers, past) for asked in self._asked])


def _each_time(condition: CompiledRule, reads: Reads, fast: Callable[[Past], Truth] | None) -> Asked:
    unusual = [(reads.place[name], name) for name in condition.names if is_unusual(name) and name in reads.place]

    def asked(answers: Answers, past: Past) -> int:
        if unusual and _unread(unusual, past):
            return UNTOLD
        dropped = past.record.dropped
        if dropped and condition.over_images and not set(dropped).isdisjoint(condition.names):
            return UNTOLD
        if fast is not None and past.record.images and not past.record.earlier:
            return _PLACES[fast(past)]
        return _PLACES[condition.result(past.subject)]

    return asked


def _unread(unusual: list[tuple[int, str]], past: Past) -> bool:
    """Whether one of these is absent and nobody knows why."""
    return any(past.row[at] is None and not past.was_asked(name) for at, name in unusual)


def _joined(parts: list[Asked], decides: int, otherwise: int) -> Asked:
    """`and`, `or`: one that decides does, whatever the others are; else untold, an error, unknown, in this order."""

    def asked(answers: Answers, past: Past) -> int:
        result = otherwise
        for part in parts:
            truth = part(answers, past)
            if truth == decides:
                return decides
            if truth == UNTOLD or (truth == _ERROR and result != UNTOLD) or (truth == _UNKNOWN and result == otherwise):
                result = truth
        return result

    return asked

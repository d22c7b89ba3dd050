"""What people do by acts that the spool writes down (commands, alerts): from their events to entries of the audit. Pure.

The one truth about what people did is the audit. What is done at once (accounts, configuration, the node's programs) is
written into it by who does it; what the spool carries out, by the bookkeeper from the events here and by nobody else: a page
or command that asks for an act must not write an entry too. It must not hold secrets or patient data: arguments of acts
have none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

MOST_IDS = 50  # ids that an entry names; of more their number
TYPES = ("command.asked", "command.answered", "alert.acknowledged", "alert.silenced", "alert.unsilenced")


class Entry(NamedTuple):
    """An entry to be made. `of`: the number of the command that an answer is to; its entry says who asked and about what."""

    time: float
    who: str
    action: str
    object: str
    after: Mapping[str, Any]
    of: int = 0


def entry_of(type: str, time: float, source: str, data: Mapping[str, Any]) -> Entry | None:
    """The entry that an event makes; None if no person is behind it. Raises KeyError, TypeError for odd forms.

    `source` is /node/actor/instance of whoever recorded it: the command line is marked as such, as its people are users of
    the machine and not of the page.
    """
    by = str(data["by"])
    who = f"cli:{by}" if source.split("/")[2:3] == ["cli"] else by
    if not by:
        return None
    if type == "command.asked":
        arguments, command = dict(data["arguments"]), int(data["command"])
        return Entry(
            time, who, data["kind"], f"{_object(data['kind'], arguments)} ({mark(command)})", _short(arguments)
        )
    if type == "command.answered":
        command = int(data["command"])
        return Entry(time, who, f"{data['kind']} {data['state']}", mark(command), {"answer": data["answer"]}, command)
    if type == "alert.acknowledged":
        return Entry(time, who, "alert ack", f"alert {data['alert']}", {"note": data["note"]})
    if type == "alert.silenced":
        after = {"until": data["until"], "reason": data["reason"], "silence": data["silence"]}
        return Entry(time, who, "alert silence", f"alerts {data['pattern']}", after)
    return Entry(time, who, "alert unsilence", f"alerts {data['pattern']}", {"silence": data["silence"]})


def mark(command: int) -> str:
    """How the entry of a command names it."""
    return f"command {command}"


def _object(kind: str, arguments: Mapping[str, Any]) -> str:
    """What an act is about, in a few words."""
    noun, many = ("delivery", "deliveries") if kind.startswith("queue.") else ("arrival", "arrivals")
    ids = arguments.get("ids") or [arguments[name] for name in ("arrival", "delivery") if name in arguments][:1]
    if isinstance(ids, Sequence) and ids:
        return f"{noun} {ids[0]}" if len(ids) == 1 else f"{len(ids)} {many}"
    for name in ("target", "receipt"):
        if isinstance(arguments.get(name), str):
            return f"{name} {arguments[name]}"
    chosen = arguments.get("where")
    if isinstance(chosen, Mapping):
        return f"{many} with {', '.join(f'{name} {_word(value)}' for name, value in chosen.items())}"
    return kind.partition(".")[0]


def _word(value: Any) -> str:
    return "/".join(map(str, value)) if isinstance(value, list) else str(value)


def _short(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments; of long lists the beginning and the length."""
    short = dict(arguments)
    for name, value in arguments.items():
        if isinstance(value, list) and len(value) > MOST_IDS:
            short[name] = [*value[:MOST_IDS], f"and {len(value) - MOST_IDS} more"]
    return short

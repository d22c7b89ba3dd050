"""What people do to deliveries: forms, the page that asks once more, and their twin for programs.
It must not carry anything out; the router does.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from protocol.acts import CAN, states_for
from protocol.errors import StepRefused
from protocol.selection import read_selection
from protocol.spool.selecting import DELIVERIES
from webgui import acting, answers, inputs
from webgui.areas.queue import words
from webgui.areas.queue.asked import TABS, QueueAct, QueueActs
from webgui.inputs import Invalid
from webgui.keys import NODE

MANY = 100
"""So many are meant on purpose; of more the number has to be typed."""
ASKED_AGAIN = ("cancel", "redirect")


async def submit(request: web.Request) -> web.Response:
    """POST /queue/act. Acts that cannot be taken back, or that are for several, are asked about once more."""
    asked, node = await inputs.body(request, QueueAct), request.app[NODE]
    if asked.act == "redirect" and not asked.to:
        raise Invalid({"to": "name the target to send them to"})
    if asked.scope == "ids" and not asked.ids:
        return answers.go(request, asked.address(), "Nothing was ticked.", "warn")
    which: dict[str, Any] = {"ids": asked.ids}
    count = len(asked.ids)
    if asked.scope == "match":
        selection = asked.selection(_states(asked))
        which = {"where": selection.plain()}
        count = await node.spool(lambda spool: sum(spool.bulk.matching(DELIVERIES, selection).values()))
    if not count:
        return answers.go(request, asked.address(), "Nothing matches any more.", "warn")
    if _unsure(asked, count):
        return _ask(request, asked, count)
    command = await acting.act(request, f"queue.{asked.act}", {**which, **asked.more()}, asked.reason)
    # What is retried has no cause any more: the list of a cause would be empty, as if nothing had happened.
    back = asked.address(cause="") if asked.act == "retry" else asked.address()
    return acting.back(request, command, back)


def _unsure(asked: QueueAct, count: int) -> bool:
    """Whether to ask once more: `confirmed` says it was asked, `count` that our page did, where many have to be typed."""
    if asked.confirmed:
        return count > MANY and bool(asked.count) and asked.typed.strip() != str(count)
    return asked.act in ASKED_AGAIN or count > 1


def _states(asked: QueueAct) -> tuple[str, ...]:
    """The states of the tab that the act is for. Raises StepRefused."""
    can = CAN[f"queue.{asked.act}"]
    states = tuple(state for state in TABS.get(asked.state, (asked.state,)) if state in can)
    if not states:
        raise StepRefused(f"{words.ACTS[asked.act][0]} is not for these; it is for {', '.join(can)} ones")
    return states


def _ask(request: web.Request, asked: QueueAct, count: int) -> web.Response:
    """The page that says what would be done to how many."""
    wrong = "That is not their number." if asked.confirmed else ""
    title, symbol = words.ACTS[asked.act]
    return answers.page(request, "queue/confirm.html", 200, asked=asked, count=count, many=count > MANY, title=title,
                        symbol=symbol, consequence=words.CONSEQUENCES[asked.act], wrong=wrong, back=asked.address())  # fmt: skip


async def api(request: web.Request) -> web.Response:
    """POST /api/v1/queue/acts/{act}."""
    act = request.match_info["act"]
    if act not in words.ACTS:
        raise web.HTTPNotFound(text=f"Nothing can be done by that name; there are {', '.join(words.ACTS)}.")
    asked = await inputs.body(request, QueueActs)
    if bool(asked.ids) == (asked.where is not None):
        raise Invalid({"ids": "give either ids, or where: what they have in common"})
    if act == "redirect" and not asked.to:
        raise Invalid({"to": "name the target or group to send them to"})
    which: dict[str, Any] = {"ids": asked.ids}
    if asked.where is not None:
        selection = read_selection(asked.where, "delivery")
        if selection.empty:
            raise Invalid({"where": "nothing is said that they have in common"})
        states_for(f"queue.{act}", selection)
        which = {"where": selection.plain()}
    more: dict[str, str] = (
        {"priority": asked.priority} if act == "priority" else {"to": asked.to} if act == "redirect" else {}
    )
    return acting.given(await acting.act(request, f"queue.{act}", {**which, **more}, asked.reason))

"""Self-tests as the router sees them: which arrivals are one, and that they go where they were to go and nowhere else.
It must not send anything; actors/selftest does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from actors.router.routing import Routing
from protocol import selftest
from protocol.errors import StepRefused
from protocol.spool import Spool
from protocol.spool.arrivals import TargetChoice, Verdict
from protocol.spool.commands import Command
from protocol.states import CommandState

LOOKED_AT = 200


def begin(spool: Spool, routing: Routing, command: Command) -> None:
    """Announce one. Raises StepRefused."""
    study, target = selftest.study_of(command.arguments), selftest.target_of(command.arguments)
    if not study:
        raise StepRefused("a self-test needs a Study Instance UID of its own root")
    if target != selftest.SINK and target not in routing.configuration.targets:
        raise StepRefused(f"there is no target {target!r} in the routing configuration")
    if spool.arrivals.list(study_uid=study, limit=1):
        raise StepRefused("this study is here already")
    where = "the built-in sink" if target == selftest.SINK else target
    spool.commands.finish(command.id, f"a self-test to {where} may begin")


def announced(spool: Spool, arrival: Mapping[str, Any]) -> Command | None:
    """The command that announced the study of an arrival."""
    study = arrival["study_uid"]
    if not selftest.looks_like_one(study):
        return None
    for command in spool.commands.list(kind=selftest.BEGIN, limit=LOOKED_AT):
        if command.state is CommandState.DONE and selftest.study_of(command.arguments) == study:
            return command
    return None


def verdict_of(command: Command, judged: Verdict) -> Verdict:
    """Where a self-test goes. The rules were asked as for any series, and count for nothing."""
    target = TargetChoice(selftest.target_of(command.arguments), False)
    return replace(
        judged, outcome="route", targets=(target,), rules=(), waits=(), quotas=(), counted={}, failed_rules={},
        reason=f"self-test of {command.by}",
    )  # fmt: skip

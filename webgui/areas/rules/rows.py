"""The list of rules as rows: what each does in plain English, how often it applied, and what is odd about it.

Pure: configuration, counters and findings come in. It must not read anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from protocol.routing.checks.findings import Finding
from protocol.routing.model import RoutingConfiguration, Rule
from protocol.routing.rules.english import english
from protocol.routing.terms import resting
from webgui.areas.rules import words
from webgui.words import duration

DAYS = 30
_PLACE = re.compile(r"rules\[(\d+)\]")
NONE: Mapping[str, float] = {}
Daily = Mapping[str, Mapping[str, int]]


def listed(
    configuration: RoutingConfiguration, daily: Daily, counts: Mapping[str, Mapping[str, int]],
    findings: Sequence[Finding], now: datetime, ages: Mapping[str, float] = NONE,
) -> list[dict[str, Any]]:  # fmt: skip
    """One row for each rule, in order. `now`: with the node's zone; days are counted in UTC. `ages`: for how many seconds
    rules have been as they are, if below 30 days.
    """
    said: dict[int, list[Finding]] = {}
    for finding in findings:
        match = _PLACE.match(finding.place)
        if match is not None:
            said.setdefault(int(match[1]), []).append(finding)
    return [
        _row(at, rule, daily.get(rule.name, {}), counts.get(rule.name, {}), said.get(at, []), now, ages.get(rule.name))
        for at, rule in enumerate(configuration.rules)
    ]


def _row(
    at: int, rule: Rule, days: Mapping[str, int], counts: Mapping[str, int], findings: Sequence[Finding], now: datetime,
    age: float | None,
) -> dict[str, Any]:  # fmt: skip
    today = now.astimezone(UTC).date()
    series = [days.get((today - timedelta(days=ago)).isoformat(), 0) for ago in range(DAYS - 1, -1, -1)]
    level, word = words.MODES[rule.mode]
    away = rule.off_until if rule.mode != "off" and resting(rule.off_until, now) else None
    if away is not None:
        level, word = "off", f"off until {away}"
    return {
        "place": at + 1, "name": rule.name, "mode": rule.mode, "level": level, "word": word,
        "english": english(rule.compiled.tree), "when": rule.when, "action": rule.action,
        "then": words.then(rule.action, rule.targets, rule.trigger), "targets": list(rule.targets),
        "priority": rule.priority, "owner": rule.owner, "comment": rule.comment, "stop": rule.stop,
        "fallback": rule.fallback, "expires": rule.expires, "off_until": away, "tests": len(rule.tests),
        "today": series[-1], "total": sum(series), "line": spark(series), "last": max(days, default=None),
        "errors": counts.get("error", 0),
        "warnings": warnings(rule, findings, sum(series), counts.get("error", 0), age, away=away is not None),
    }  # fmt: skip


def warnings(
    rule: Rule, findings: Sequence[Finding], total: int, errors: int, age: float | None = None, *, away: bool = False
) -> list[dict[str, str]]:
    """What is odd, worst first: level, message, cure. `away`: it is off until a day, so no match is no wonder."""
    found = [
        {"level": "bad" if one.level == "error" else "warn", "text": one.message, "cure": one.cure} for one in findings
    ]
    if errors:
        found.append({"level": "bad", "text": f"came to an error {errors} times in {DAYS} days",
                      "cure": "Those series are flagged: look at why"})  # fmt: skip
    if rule.mode != "active":
        found += [
            {"level": "warn", "text": text, "cure": "It cannot be activated like that"} for text in rule.failed_tests()
        ]
    if rule.mode != "off" and not away and not total and not found:
        text = f"no match in {DAYS} days" if age is None else f"no match yet: {_mode(rule)} for {duration(age)}"
        found.append({"level": "wait", "text": text, "cure": "Test it on a past series"})
    if rule.compiled.text == "True" and rule.mode != "off" and not rule.fallback and rule.action != "route":
        found.append({"level": "warn", "text": "always applies", "cure": "Narrow its condition"})
    return sorted(found, key=lambda one: ("bad", "warn", "wait").index(one["level"]))


def _mode(rule: Rule) -> str:
    return "in force" if rule.mode == "active" else "in shadow"


def spark(values: Sequence[int], width: int = 90, height: int = 20) -> str:
    """Points of a small line, `x,y x,y ...`; empty where there was nothing."""
    top = max(values, default=0)
    if not top:
        return ""
    step = width / max(1, len(values) - 1)
    return " ".join(f"{at * step:.1f},{height - 1 - value / top * (height - 2):.1f}" for at, value in enumerate(values))

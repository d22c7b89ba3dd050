"""The test panel: one past arrival, file or pasted header held against the rule in the editor and all others.

It only reads; what people send is held in memory for the answer and never kept or logged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from protocol.errors import RuleSyntaxError, UnreadableHeader
from protocol.header.part10 import values_of
from protocol.header.pasted import read_pasted
from protocol.routing.judging import Case
from protocol.routing.model import RoutingConfiguration
from protocol.routing.rules.compiler import compile_rule
from protocol.routing.trying import tried
from webgui import patients, publishing
from webgui.areas.rules import words
from webgui.rules_source import RulesSource

MAX_BYTES = 64 << 20
"""Of one request with files; a browser with scripts sends the beginning of each only."""
MOST_FILES = 500
MOST_KEPT = 50  # images of one test case
ORIGIN = ("calling_ae", "address", "called_ae", "source")


@dataclass
class Asked:
    """What to hold against the rules: one of the three. `origin`: what the person says of the sender."""

    arrival: int | None = None
    pasted: str = ""
    files: list[tuple[str, bytes]] = field(default_factory=list)
    origin: dict[str, str] = field(default_factory=dict)


def asked_of(values: Mapping[str, Any]) -> Asked:
    """Out of a form."""
    arrival = str(values.get("arrival") or "").strip()
    files = values.get("files") or []
    listed = files if isinstance(files, list) else [files]
    origin = {key: str(values[f"o-{key}"]).strip() for key in ORIGIN if values.get(f"o-{key}")}
    return Asked(
        int(arrival) if arrival.isdecimal() and len(arrival) < 19 else None,
        str(values.get("pasted") or ""),
        [(one.filename, one.file.read()) for one in listed[:MOST_FILES] if isinstance(one, web.FileField)],
        origin,
    )


def case_of(asked: Asked, source: RulesSource, configuration: RoutingConfiguration) -> tuple[str, Case, list[str]]:
    """A title, the case, and notes. Raises UnreadableHeader, NotFound, LedgerUnavailable."""
    if asked.files:
        images, notes = _images(asked.files, configuration)
        title = asked.files[0][0] if len(images) == 1 else f"{len(images)} files"
        return title, source.case_of_header(images, asked.origin), notes
    if asked.pasted.strip():
        images = read_pasted(asked.pasted)
        title = "pasted header" if len(images) == 1 else f"pasted header, {len(images)} images"
        return title, source.case_of_header(images, asked.origin), []
    if asked.arrival is None:
        raise UnreadableHeader("nothing to test on: choose a past series, a file, or paste a header")
    case, notes = source.case_of_arrival(asked.arrival, configuration)
    return f"series {asked.arrival}", case, notes


def _images(
    files: Sequence[tuple[str, bytes]], configuration: RoutingConfiguration
) -> tuple[list[dict[str, Any]], list[str]]:
    images, notes = [], []
    for name, data in files:
        try:
            images.append(values_of(data, configuration.keywords))
        except UnreadableHeader as exc:
            notes.append(f"{name}: {exc}")
    if not images:
        raise UnreadableHeader(notes[0] if notes else "no file")
    return images, notes


def refuse_guessing(when: str) -> None:
    """Who sees patients masked could find out by asking rules. Raises UnreadableHeader; a faulty condition passes."""
    try:
        told = sorted(patients.KEYS.intersection(compile_rule(when).keywords))
    except RuleSyntaxError:
        return
    if told:
        raise UnreadableHeader(f"patient data are masked for you, and this condition reads {', '.join(told)}")


def shown(
    configuration: RoutingConfiguration, name: str, title: str, case: Case, notes: Sequence[str]
) -> dict[str, Any]:
    """The answer as a page shows it: the rule clause by clause, which others apply, what would follow."""
    document = tried(configuration, 0, case)
    this = next(one for one in document["rules"] if one["rule"] == name)
    others = [one for one in document["rules"] if one["rule"] != name and one["result"] in ("true", "error")]
    decision = document["decision"]
    level, word = words.RESULTS[this["result"]]
    outcome_level, outcome = words.OUTCOMES[decision["outcome"]]
    return {
        "title": title, "notes": list(notes), "images": document["images"], "level": level, "word": word,
        "result": this["result"], "clauses": clauses(this["explanation"]), "why": this["why"],
        "others": [
            {"name": one["rule"], "level": words.RESULTS[one["result"]][0], "mode": one["mode"],
             "then": words.then(one["action"], one["targets"], one["trigger"])} for one in others
        ],
        "outcome_level": outcome_level, "outcome": outcome, "reason": decision["reason"],
        "deliveries": [one["name"] for one in decision["deliveries"] if decision["outcome"] != "hold"],
        "on_release": publishing.sentence(decision["on_release"]) if decision["on_release"] else "",
    }  # fmt: skip


def clauses(explanation: Mapping[str, Any], depth: int = 0) -> list[dict[str, Any]]:
    """A tree of clauses as lines: what it says, what came of it, with which values."""
    if not explanation:
        return []
    level, word = words.RESULTS[explanation.get("result")]
    values = [_value(one) for one in explanation.get("values", ())]
    counted = ", ".join(f"{count} {words.RESULTS[one][1]}" for one, count in explanation.get("images", {}).items())
    line = {
        "depth": min(depth, 6), "kind": explanation.get("kind", ""), "text": explanation.get("text", ""), "level": level,
        "word": word, "values": values, "images": counted, "reason": explanation.get("reason", ""),
    }  # fmt: skip
    below = [one for inner in explanation.get("clauses", ()) for one in clauses(inner, depth + 1)]
    return [line, *below]


def _value(one: Mapping[str, Any]) -> dict[str, str]:
    value, note = one.get("value"), str(one.get("note", ""))
    if isinstance(value, Mapping):
        text = str(value.get("error", ""))
    elif value is None:
        text = "missing"
    else:
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return {"name": str(one.get("name", "")), "text": text, "note": note, "missing": "true" if value is None else ""}


def test_case(when: str, case: Case, name: str) -> dict[str, Any]:
    """A test case out of what was tried: of the headers only what the condition reads, and what it comes to now."""
    compiled = compile_rule(when)
    read = {*compiled.keywords} | ({"InstanceNumber"} if len(case.subject.images) > 1 else set())
    images = []
    for changed in case.subject.images:
        whole = {**case.subject.common, **changed}
        kept = {key: whole[key] for key in sorted(read) if whole.get(key) is not None}
        if kept not in images:
            images.append(kept)
        if len(images) == MOST_KEPT:
            break
    origin = {key: value for key, value in case.subject.origin.items() if key in compiled.names and value is not None}
    return {
        "name": name, "header": images[0] if len(images) == 1 else {}, "images": images if len(images) > 1 else [],
        "origin": origin, "expect": str(compiled.result(case.subject)),
    }  # fmt: skip

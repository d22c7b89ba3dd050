"""Small edits of a routing configuration as pure functions of its JSON data: a rule's mode or test cases, a source.

They must not publish anything; `publishing.apply` does. What is wrong with the new values is found when it is built.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from protocol.errors import NotFound, ScanpostError
from protocol.routing.publishing import Data, Edit
from protocol.routing.rules.compiler import compile_rule
from protocol.routing.rules.names import did_you_mean


def set_mode(rule: str, mode: str, off_until: str | None = None) -> Edit:
    """Switch a rule to active, shadow or off; with `off_until` (see Rule) it is off until then and comes back by itself.

    The edit raises NotFound.
    """

    def edit(data: Data) -> Data:
        names = [one["name"] for one in data["rules"]]
        _known("rule", rule, names)
        said = {"mode": mode, "off_until": off_until}
        rules = [one | said if one["name"] == rule else one for one in data["rules"]]
        return data | {"rules": rules}

    return edit


def add_test(
    rule: str, images: Sequence[Mapping[str, Any]], origin: Mapping[str, Any], expect: str, name: str = ""
) -> Edit:
    """Keep a test case with a rule: of the headers only what its condition reads, since they are somebody's. The edit
    raises NotFound.
    """

    def edit(data: Data) -> Data:
        rules = {one["name"]: one for one in data["rules"]}
        _known("rule", rule, list(rules))
        read = compile_rule(rules[rule]["when"]).keywords
        read = (*read, "InstanceNumber") if len(images) > 1 else read  # it says which image is the first
        kept = [{key: one[key] for key in read if one.get(key) is not None} for one in images]
        header = kept[0] if len(kept) == 1 else {}
        test = {"name": name, "header": header, "images": kept if len(kept) > 1 else [], "origin": dict(origin),
                "expect": expect}  # fmt: skip
        changed = rules[rule] | {"tests": [*rules[rule].get("tests", ()), test]}
        return data | {"rules": [changed if one["name"] == rule else one for one in data["rules"]]}

    return edit


def add_source(name: str, settings: Mapping[str, Any]) -> Edit:
    """Make a source known. The edit raises ScanpostError: there is one of that name."""

    def edit(data: Data) -> Data:
        if name in data["sources"]:
            raise ScanpostError(f"there is a source '{name}' already; change it with `scanpost sources set {name}`")
        return data | {"sources": data["sources"] | {name: dict(settings)}}

    return edit


def change_source(name: str, settings: Mapping[str, Any]) -> Edit:
    """Change settings of a source, keep the others. The edit raises NotFound."""

    def edit(data: Data) -> Data:
        _known("source", name, list(data["sources"]))
        return data | {"sources": data["sources"] | {name: data["sources"][name] | settings}}

    return edit


def remove_source(name: str) -> Edit:
    """Forget a source: its sender is a stranger again. The edit raises NotFound."""

    def edit(data: Data) -> Data:
        _known("source", name, list(data["sources"]))
        return data | {"sources": {key: one for key, one in data["sources"].items() if key != name}}

    return edit


def _known(kind: str, name: str, names: list[str]) -> None:
    if name not in names:
        raise NotFound(f"there is no {kind} '{name}'; {did_you_mean(name, names, 'see `scanpost routing export`')}")

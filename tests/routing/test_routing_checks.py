"""Findings about a valid configuration: what is proven is told, what is not proven is left alone."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.routing.checks.findings import Finding
from protocol.routing.checks.ourselves import Listening, Ourselves, ourselves
from protocol.routing.checks.proofs import clauses, contradiction, follows, meaning, needed
from protocol.routing.checks.whole import errors_of, examine
from protocol.routing.decide import Case, decide
from protocol.routing.parse import build
from protocol.routing.rules.compiler import compile_rule
from protocol.routing.rules.subject import Subject
from protocol.settings import load_settings

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
HERE = Ourselves(
    ports=(Listening("0.0.0.0", 11112, "ROUTER"), Listening("10.0.0.5", 104, "SECOND")),
    hosts=frozenset({"router", "router.example.org", "10.0.0.5", "10.0.0.6", "fd00::5"}),
    certificates=False,
)


def rule(name: str, when: str = "Modality == 'MR'", action: str = "route", **more: Any) -> dict[str, Any]:
    return {"name": name, "when": when, "action": action, "targets": ["pacs"] if action == "route" else [], **more}


def target(host: str = "pacs", port: int = 104, called_ae: str = "PACS") -> dict[str, Any]:
    return {"type": "dicom", "host": host, "port": port, "called_ae": called_ae}


def found(*rules: dict[str, Any], node: Ourselves | None = None, **more: Any) -> list[Finding]:
    data = {"targets": {"pacs": target()}, "rules": list(rules) or [rule("all", "True")], **more}
    return list(examine(build(data, "test"), NOW, node))


def told(findings: list[Finding]) -> list[str]:
    return [f"{one.level} {one.place}: {one.message}" for one in findings]


def test_a_sound_configuration_has_no_findings() -> None:
    rules = [rule("mr", stop=True), rule("ct", "Modality == 'CT'"), rule("rest", "True", fallback=True)]
    sources = {"mr1": {"calling_ae": "MR1"}}
    assert found(*rules, rule("own", "Source == 'mr1'"), node=HERE, sources=sources) == []


def test_no_target_writes_into_the_spool(tmp_path: Path) -> None:
    node = ourselves(load_settings(tmp_path, environ={}))
    for path, refused in (("spool/images", True), ("config", True), ("export", False), ("spool2", False)):
        targets = {"pacs": target(), "share": {"type": "folder", "path": str(tmp_path / path)}}
        errors = [line for line in told(found(node=node, targets=targets)) if line.startswith("error")]
        assert [line.partition(": ")[0] for line in errors] == (["error targets.share.path"] if refused else []), path


# --- rules


def test_a_rule_behind_one_that_always_applies_and_stops_is_never_reached() -> None:
    all_of_them = rule("all", "True", stop=True)
    assert told(found(all_of_them, rule("mr"), rule("rest", "True", fallback=True))) == [
        "warning rules[1]: rule 'mr' is never reached: 'all' always applies and stops",
        "warning rules[2]: fallback rule 'rest' never runs: rule 'all' always applies",
    ]
    assert found(rule("mr"), all_of_them) == []
    for unsure in (
        {"mode": "shadow"},
        {"expires": "2027-01-01"},
        {"off_until": "2027-01-01"},
        {"quota": {"max": 5}},
        {"schedule": {"end": "07:00"}},
    ):
        assert found(all_of_them | unsure, rule("mr")) == [], unsure
    assert found(all_of_them, rule("mr", trigger="image")) == []
    assert found(all_of_them, rule("mr", mode="off")) == []


def test_a_rule_that_would_discard_what_a_later_one_wants_is_an_error() -> None:
    (finding,) = found(rule("none", "not False", "discard", stop=True), rule("mr"))
    assert told([finding]) == [
        "error rules[1]: rule 'mr' is never reached and its images are discarded: 'none' always applies and stops"
    ]
    assert found(rule("none", "Modality == 'US'", "discard", stop=True), rule("mr")) == []


@pytest.mark.parametrize(
    ("first", "second", "shadowed"),
    [
        ("Modality == 'MR'", 'modality  ==  "MR"', True),
        ("Modality == 'MR'", "SeriesNumber > 3 and Modality == 'MR'", True),
        ("Modality == 'MR' and SeriesNumber > 3", "Modality == 'MR'", False),
        ("Modality == 'MR' or Modality == 'CT'", "Modality == 'CT'", True),
        ("Modality == 'CT'", "Modality == 'MR' or Modality == 'CT'", False),
        ("(SeriesNumber > 3 and Modality == 'MR')", "Modality == 'MR' and SeriesNumber > 3", True),
        ("exists(PatientID)", "not not exists(PatientID)", True),
        ("SeriesNumber > 3", "SeriesNumber > 3.0", False),
        ("SeriesNumber > 3", "SeriesNumber > 4", False),  # true, but not proven
        ("any_image(Modality == 'MR')", "Modality == 'MR'", False),
    ],
)
def test_a_rule_is_shadowed_only_where_that_is_proven(first: str, second: str, shadowed: bool) -> None:
    findings = found(rule("first", first, stop=True), rule("second", second))
    assert bool(findings) == shadowed, told(findings)
    assert found(rule("first", first), rule("second", second)) == []


def test_a_discard_rule_that_another_one_always_outweighs_has_no_effect() -> None:
    dropping = rule("drop", "Modality == 'MR' and SeriesNumber == 1", "discard")
    assert told(found(rule("mr"), dropping)) == [
        "warning rules[1]: rule 'drop' discards nothing: 'mr' applies whenever it does"
    ]
    assert found(rule("mr"), dropping | {"stop": True}) == []
    assert found(rule("mr", quota={"max": 3}), dropping) == []
    assert found(rule("mr"), rule("drop", "Modality in ('MR', 'US')", "discard")) == []


def test_a_hold_rule_whose_series_nothing_would_send_on_release_is_told_where_that_is_proven() -> None:
    hold = rule("look", "Modality == 'CT'", "hold")
    odd = "rule 'look' holds what no rule names a target for: a release has nowhere to send it"
    ct, mr = rule("ct", "Modality == 'CT' and SeriesNumber > 3"), rule("mr")
    for others in (
        [mr],
        [mr, rule("never", "False")],
        [mr, ct | {"mode": "off"}],
        [mr, ct | {"mode": "shadow"}],
        [mr, ct | {"expires": "2026-01-01"}],
        [mr, rule("drop", "True", "discard", fallback=True)],
    ):
        assert f"warning rules[{len(others)}].targets: {odd}" in told(found(*others, hold)), others
    for others in (
        [ct],
        [rule("all", "True", fallback=True)],
        [rule("whole", "Modality == 'MR'", trigger="study")],
        [rule("each", "Modality == 'MR'", trigger="image")],
        [mr, rule("also", "SeriesNumber > 3", "hold", targets=["pacs"])],
    ):
        assert found(*others, hold) == [], others
    assert found(mr, hold | {"targets": ["pacs"]}) == [] == found(mr, hold | {"mode": "off"})


def test_a_rule_that_can_never_apply_is_told() -> None:
    assert told(found(rule("all", "True"), rule("no", "Modality == 'MR' and not True"))) == [
        "warning rules[1].when: rule 'no' can never apply"
    ]
    (finding,) = found(rule("all", "True"), rule("both", "Modality == 'MR' and exists(PatientID) and Modality == 'CT'"))
    assert "Modality == 'MR' and Modality == 'CT' are never both true" in finding.message
    for same in ("date('2026-01-31')", "'2026-01-31'"):
        both = rule("both", f"StudyDate == '20260131' and StudyDate == {same}")
        assert found(rule("all", "True"), both) == [], "one day, written in two ways"
    dates = rule("dates", "PatientID == date('2026-01-31') and PatientID == date('20260131')")
    assert found(rule("all", "True"), dates) == []
    assert found(rule("all", "True"), rule("either", "Modality == 'MR' or Modality == 'CT'")) == []
    assert found(rule("all", "True"), rule("same", "Modality == 'MR' and Modality == 'mr '")) == []


NOTHING = "warning rules: no active rule routes or holds: every image is discarded"


def test_a_rule_that_expired_is_told_and_its_target_has_no_other_use() -> None:
    assert told(found(rule("old", expires="2026-05-31"))) == [
        "warning targets.pacs: 'pacs' is only used by rules that are off or expired",
        NOTHING,
        "warning rules[0].expires: rule 'old' expired (2026-05-31)",
    ]
    assert found(rule("today", expires="2026-06-01")) == []


def test_a_rule_that_is_off_for_a_while_keeps_its_target_in_use_and_is_told_if_it_never_comes_back() -> None:
    assert told(found(rule("later", off_until="2026-07-01"))) == [NOTHING]
    assert told(found(rule("later", off_until="2026-07-01", expires="2026-07-01"))) == [NOTHING]
    assert found(rule("back", off_until="2026-06-01")) == []
    assert told(found(rule("never", off_until="2026-07-02T08:00+00:00", expires="2026-07-01"))) == [
        NOTHING,
        "warning rules[0].off_until: rule 'never' ends (2026-07-01) before it is back (2026-07-02T08:00+00:00)",
    ]


def test_a_source_that_a_rule_asks_for_and_that_is_not_there_is_told() -> None:
    sources = {"mr1": {"calling_ae": "MR1"}}
    findings = found(rule("one", "Source in ('mr1', 'mr2') and 'mr3' != Source"), sources=sources)
    assert told(findings) == ["warning rules[0].when: rule 'one' asks for the source 'mr2', which is not there"]
    assert findings[0].cure == "Did you mean 'mr1'?"


def test_nothing_that_routes_is_told() -> None:
    assert told(found(rule("mr", mode="shadow"))) == [
        "warning rules: no active rule routes or holds: every image is discarded"
    ]
    assert list(examine(build({}, "test"), NOW, HERE)) == []


# --- targets, groups, sources


def test_targets_and_groups_that_nobody_uses_are_told() -> None:
    findings = found(
        targets={"pacs": target(), "spare": target("b"), "asked": target("c"), "inner": target("d")},
        groups={"all": {"mode": "failover", "members": ["pacs", "inner"]}},
        sources={"mr": {"calling_ae": "MR", "commitment": {"target": "asked"}}},
    )
    assert told(findings) == ["warning targets.spare: no rule names 'spare'", "warning groups.all: no rule names 'all'"]


def test_a_group_that_has_the_same_node_twice_is_told() -> None:
    findings = found(
        rule("all", "True", targets=["both"]),
        targets={"a": target("PACS.example.org"), "b": target("pacs.example.org"), "c": target(called_ae="C")},
        groups={"both": {"mode": "balance", "members": ["a", "c", "b"]}},
    )
    assert told(findings) == ["warning groups.both.members[2]: 'b' and 'a' of group 'both' are the same node"]


def test_a_rule_that_names_a_target_and_its_group_is_told() -> None:
    groups = {"all": {"mode": "failover", "members": ["pacs"]}}
    (finding,) = found(rule("both", "True", targets=["pacs", "all"]), groups=groups)
    assert finding.place == "rules[0].targets" and "'pacs' and to group 'all'" in finding.message


def test_sources_that_nobody_can_match_are_told() -> None:
    sources = {"tls": {"certificate": "mr1"}, "far": {"address": "192.168.0.0/24"}, "near": {"address": "10.1.0.0/16"}}
    node = Ourselves((), frozenset(), certificates=False, allow=(ip_network("10.0.0.0/8"), ip_network("fd00::/64")))
    assert [one.place for one in found(node=node, sources=sources)] == [
        "sources.tls.certificate",
        "sources.far.address",
    ]


# --- loops


@pytest.mark.parametrize(
    ("host", "port", "is_loop"),
    [
        ("127.0.0.1", 11112, True),
        ("127.9.9.9", 11112, True),
        ("localhost", 11112, True),
        ("::1", 11112, True),
        ("::ffff:10.0.0.6", 11112, True),
        ("0.0.0.0", 11112, True),
        ("Router.Example.org.", 11112, True),
        ("10.0.0.6", 11112, True),
        ("FD00:0::5", 11112, True),
        ("127.0.0.1", 11113, False),
        ("pacs", 11112, False),
        ("10.0.0.7", 11112, False),
        ("10.0.0.5", 104, True),
        ("10.0.0.6", 104, False),  # another program's: ours is bound to 10.0.0.5
        ("localhost", 104, False),
        ("router", 104, True),
    ],
)
def test_a_target_that_is_this_node_itself_is_an_error(host: str, port: int, is_loop: bool) -> None:
    findings = found(node=HERE, targets={"pacs": target(host, port)})
    assert [one.level for one in findings] == ["error"] * is_loop, told(findings)
    assert found(targets={"pacs": target(host, port)}) == []
    if is_loop:
        assert findings[0].place == "targets.pacs" and "circles" in findings[0].message


def test_a_target_with_our_title_and_port_may_be_us_under_another_name() -> None:
    (finding,) = found(node=HERE, targets={"pacs": target("vip", 11112, "ROUTER")})
    assert (finding.level, finding.place) == ("warning", "targets.pacs")


def test_images_that_a_target_sends_back_are_told_unless_the_rule_looks_at_the_sender() -> None:
    for source in ({"address": "10.9.9.9/32"}, {"calling_ae": "PACS"}):
        more = {"node": HERE, "targets": {"pacs": target("10.9.9.9")}, "sources": {"archive": source}}
        (finding,) = found(rule("mr"), **more)
        assert (finding.level, finding.place) == ("warning", "rules[0].when")
        assert finding.cure == "Add: and Source != 'archive'"
        assert found(rule("mr", "Modality == 'MR' and Source != 'archive'"), **more) == []
        assert [one for one in found(rule("mr", mode="shadow"), **more) if one.place == "rules[0].when"] == []


def test_this_node_is_known_by_its_settings_and_its_machine(tmp_path: Any) -> None:
    node = ourselves(load_settings(tmp_path, {"receiver.port": 11199}))
    assert node.listener_at("127.0.0.1", 11199) is not None
    assert node.listener_at("203.0.113.7", 11199) is None
    assert not node.certificates


# --- what stops a publication


def test_errors_stop_and_warnings_only_where_that_is_wanted() -> None:
    warnings = found(rule("mr", expires="2026-01-01"))
    assert errors_of(warnings, "f") is None
    strict = errors_of(warnings, "f", strict=True)
    assert strict is not None and len(strict.faults) == 3
    failing = found(rule("mr", tests=[{"header": {"Modality": "CT"}, "expect": "true"}]))
    refusal = errors_of(failing, "f")
    assert refusal is not None and str(refusal).startswith("f: rules[0].tests: rule 'mr': test 1 expects true")


# --- proofs agree with evaluation

CLAUSES = st.recursive(
    st.sampled_from(["A == 'x'", "A == 'y'", "B == 1", "B == 'x'", "exists(C)", "True", "False"]),
    lambda inner: (
        st.builds("not ({})".format, inner)
        | st.builds("({}) and ({})".format, inner, inner)
        | st.builds("({}) or ({})".format, inner, inner)
    ),
    max_leaves=5,
).map(lambda text: text.replace("A", "Modality").replace("B", "SeriesNumber").replace("C", "PatientID"))
HEADERS = [
    {key: value for key, value in (("Modality", a), ("SeriesNumber", b), ("PatientID", c)) if value is not None}
    for a in (None, "x", "y")
    for b in (None, 1, 2)
    for c in (None, "p")
]


@settings(max_examples=300, deadline=None)
@given(CLAUSES, CLAUSES)
def test_what_is_proven_to_follow_is_true_for_every_header(one: str, other: str) -> None:
    first, second = compile_rule(one), compile_rule(other)
    results = [(first.result(Subject([header])), second.result(Subject([header]))) for header in HEADERS]
    if follows(meaning(first.tree), meaning(second.tree)):
        assert all(then == "true" for when, then in results if when == "true")
        held = clauses(meaning(first.tree))
        never = meaning(first.tree) == ("always", False)
        assert never or all(held & wanted for wanted in needed(meaning(second.tree))), "the short cut hides a proof"
    if meaning(first.tree) == meaning(second.tree):
        assert all((when == "true") == (then == "true") for when, then in results)
    if contradiction(first.tree):
        assert all(when != "true" for when, _ in results)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(CLAUSES, st.sampled_from(["route", "discard", "hold"]), st.booleans(), st.booleans()),
        min_size=2,
        max_size=4,
    )
)
def test_a_rule_that_is_said_never_to_act_never_does(drawn: list[tuple[str, str, bool, bool]]) -> None:
    rules = [
        rule(f"r{at}", when, action, stop=stop, fallback=back) for at, (when, action, stop, back) in enumerate(drawn)
    ]
    configuration = build({"targets": {"pacs": target()}, "rules": rules}, "test")
    findings = examine(configuration, NOW)
    silent = [one for one in findings if "never" in one.message or "discards nothing" in one.message]
    stuck = {one.message.split("'")[1] for one in findings if "a release has nowhere" in one.message}
    for header in HEADERS:
        whole = decide(configuration, 1, Case(Subject([header]), NOW))
        applied = {result.rule for result in whole.results if result.applied}
        for finding in silent:
            name = finding.message.split("'")[1]
            if "discards nothing" not in finding.message:
                assert name not in applied
            elif name in applied:
                assert whole.outcome != "discard"
        if stuck & applied:
            assert not decide(configuration, 1, Case(Subject([header]), NOW, lifted=True)).deliveries

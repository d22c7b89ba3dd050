"""`scanpost queue`, `series` and `acts`: filters, acts with a router that answers, dry runs, causes, the story."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable

import pytest
from click.testing import Result
from rules_node import Home

from protocol.causes import HINTS, Cause
from protocol.spool.steps import ImageResult
from protocol.wire import telling
from scanpost import choosing
from scanpost.asking import when

Run = Callable[..., Result]


def listed(run: Run, *words: str) -> list[dict]:
    return json.loads(run(*words, "--json").stdout)


def test_lists_take_every_filter(run: Run, home: Home, three: list[int]) -> None:
    def arrivals(*words: str) -> list[int]:
        return [row["arrival"] for row in listed(run, "queue", "list", *words)]

    assert arrivals() == three[::-1]
    assert arrivals("--source", "MR2") == [three[2]]
    assert arrivals("--state", "parked", "--state", "held") == arrivals("--cause", "unknown_ae") == [three[0]]
    assert (
        arrivals("--rule", "cardiac", "--modality", "MR", "--target", "pacs", "--since", "1h", "--limit", "2")
        == three[:0:-1]
    )
    assert arrivals("--modality", "mr") == three[::-1] and arrivals("--source", "mr2") == [], "AE titles are exact"
    for modality, found in (("mr", three[::-1]), ("Mr", three[::-1]), ("ct", [])):
        assert [row["id"] for row in listed(run, "series", "list", "--modality", modality)] == found
    assert arrivals("--until", "2020-01-01") == arrivals("--target", "ai") == []
    study = home.spool.arrivals.get(three[1])["study_uid"]
    assert arrivals("--study", study) == [three[1]]
    assert [row["id"] for row in listed(run, "series", "list", "--for-target", "pacs", "--cause", "unknown_ae")] == [
        three[0]
    ]
    assert [row["id"] for row in listed(run, "series", "list", "--rule", "cardiac", "--source", "MR1")] == three[1::-1]
    assert "nothing matches" in run("queue", "list", "--target", "ai").stderr
    assert "nothing matches" in run("series", "list", "--state", "held").stderr


def test_a_series_shows_what_targets_answered_for_single_images(run: Run, home: Home) -> None:
    """Hints and docs send people here for the status of each image."""
    arrival = home.series(calling_ae="MR1", images=25, Modality="MR", StudyDescription="cardiac")
    assert "other than success" not in run("series", "show", str(arrival)).output
    claim = home.spool.deliveries.claim(home.spool.workers.enter("dispatcher", "0").owner, {"pacs": 1}, 9e9)
    assert claim is not None
    answers = {1: (0, True, ""), 2: (0xB006, True, ""), 3: (0x0124, False, "ask the PACS team")}
    home.spool.deliveries.confirm(claim, [
        ImageResult(one.position, one.file.receipt, *answers.get(one.position, (0xA900, False, ""))) for one in claim.images
    ])  # fmt: skip
    delivery = listed(run, "series", "show", str(arrival))["deliveries"][0]
    assert [one["position"] for one in delivery["answers"]] == list(range(2, 26))
    assert delivery["answers"][1] | {"sop_uid": ""} == {
        "position": 3, "state": "refused", "status": 0x0124, "comment": "ask the PACS team", "sop_uid": "",
    }  # fmt: skip
    shown = run("series", "show", str(arrival)).output
    assert f"Answers of pacs other than success (delivery {delivery['id']})" in shown
    for words in ("0124", "ask the PACS team", "B006", "warning", "more than these 20"):
        assert words in shown
    table = shown.partition("Answers of pacs")[2]
    assert [position for position in range(1, 26) if re.search(rf"\b1\.2\.1\.1\.{position}\b", table)] == list(
        range(2, 22)
    )


def test_the_list_says_when_a_target_is_probed_and_who_paused_it(run: Run, home: Home, three: list[int]) -> None:
    owner = home.spool.workers.enter("dispatcher", "0").owner
    now = time.time()
    claim = home.spool.deliveries.claim(owner, {"pacs": 9}, now=now)
    assert claim is not None
    home.spool.deliveries.retry(claim, now, "refused", Cause.CONNECTION_REFUSED)
    home.spool.targets.leave_alone("pacs", now + 7200)
    assert f"probe {when(now + 7200)}" in run("queue", "list", "--state", "retrying").stdout
    home.spool.targets.pause(
        "pacs", "new disk", "ann", None, home.spool.commands.ask("target.pause", "ann", {"target": "pacs"})
    )
    assert "paused by ann: new disk" in run("queue", "list", "--state", "retrying").stdout


def test_an_act_on_all_that_match_says_how_many(run: Run, home: Home, three: list[int]) -> None:
    done = listed(run, "queue", "hold", "--source", "MR1", "--reason", "moved")
    assert (done["state"], done["answer"]) == ("done", "hold: 2 deliveries")
    assert (done["matched"], done["done"], done["skipped"]) == (2, 2, [])
    assert (
        "release: 1 delivery"
        in run("queue", "release", "--study", home.spool.arrivals.get(three[1])["study_uid"]).stderr
    )
    assert "priority: 2 deliveries" in run("queue", "priority", "urgent", "--source", "MR1").stderr
    assert "redirect: 3 deliveries" in run("queue", "redirect", "--target", "pacs", "--to", "ai").stderr
    assert (
        "route: 1 arrival"
        in run("series", "route", "--source", "MR2", "--target", "pacs", "--priority", "urgent").stderr
    )


def test_an_act_is_undone_and_series_are_kept_until_a_day(run: Run, home: Home, three: list[int]) -> None:
    kept = listed(
        run, "series", "keep", "--source", "MR1", "--keep-until", "2099-01-31T08:00+00:00", "--reason", "trial"
    )
    assert (kept["state"], kept["done"]) == ("done", 2)
    assert [home.spool.arrivals.get(id)["keep_until"] for id in three] == [4073529600.0, 4073529600.0, None]
    assert "keep: 2 arrivals" in run("acts", "undo", str(kept["command"])).stderr
    assert home.spool.arrivals.get(three[0])["keep_until"] is None
    assert "is no time" in run("series", "keep", str(three[0]), "--keep-until", "soon", code=2).stderr
    assert "cannot be undone" in run("acts", "undo", str(route(run, three[2])), code=1).stderr
    assert "has ended already" in run("acts", "stop", str(kept["command"]), code=1).stderr


def route(run: Run, arrival: int) -> int:
    return int(listed(run, "series", "route", str(arrival), "--target", "ai")["command"])


def test_the_story_tells_who_did_what_and_why(run: Run, home: Home, three: list[int]) -> None:
    run("series", "hold", str(three[1]), "--reason", "wrong patient")
    run("series", "release", str(three[2]), code=1)
    story = listed(run, "series", "show", str(three[1]))
    assert [(act["by"], act["kind"], act["reason"], act["outcome"]) for act in story["acts"]] == [
        ("anna", "series.hold", "wrong patient", "done")
    ]
    shown = run("series", "show", str(three[1])).stdout
    assert re.search(r"anna +series\.hold +the series +wrong patient +done", shown), shown
    assert "refused: arrival" in run("series", "show", str(three[2])).stdout
    assert "unknown_ae" in run("series", "show", str(three[0])).stdout


def test_acts_are_listed_and_shown(run: Run, home: Home, three: list[int]) -> None:
    assert "nobody asked" in run("acts", "list").stderr
    run("queue", "hold", "--source", "MR1", "--reason", "moved")
    run("target", "pause", "pacs", "--reason", "service")
    found = listed(run, "acts", "list", "--by", "anna", "--since", "1h", "--kind", "queue")
    assert [(one["kind"], one["reason"], one["answer"]) for one in found] == [
        ("queue.hold", "moved", "hold: 2 deliveries")
    ]
    assert found[0]["arguments"]["where"]["source"] == "MR1" and found[0]["matched"] == 2
    assert listed(run, "acts", "list", "--by", "ben") == []
    assert listed(run, "acts", "show", str(found[0]["id"])) == found[0]
    assert "moved" in run("acts", "show", str(found[0]["id"])).stdout and "service" in run("acts", "list").stdout
    assert "no command 7" in run("acts", "show", "7", code=1).stderr


def test_a_dry_run_touches_nothing_and_says_which(run: Run, home: Home, three: list[int]) -> None:
    before = listed(run, "queue", "list")
    told = listed(run, "queue", "cancel", "--source", "MR1", "--dry-run")
    assert told["matched"] == 2 and {(one["state"], one["count"]) for one in told["by"]} == {
        ("waiting", 1),
        ("parked", 1),
    }
    assert told["newest"] == [row["id"] for row in before if row["calling_ae"] == "MR1"]
    assert "2 would be touched" in run("queue", "cancel", "--source", "MR1", "--dry-run").stderr
    ids = [str(before[-1]["id"]), str(before[0]["id"]), "7"]
    told = listed(run, "queue", "retry", *ids, "--dry-run")
    assert [(one["can"], one["why"]) for one in told["ids"]] == [
        (True, ""),
        (False, "is waiting"),
        (False, "there is no delivery 7"),
    ]
    assert "no: is waiting" in run("queue", "retry", *ids, "--dry-run").stdout
    assert listed(run, "series", "discard", "--source", "MR1", "--dry-run")["matched"] == 0
    assert "2 would be touched" in run("series", "hold", "--source", "MR1", "--dry-run").stderr
    assert listed(run, "queue", "list") == before and home.spool.commands.list() == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["queue", "retry"], "either ids, or filters"),
        (["queue", "retry", "1", "--target", "pacs"], "either ids, or filters"),
        (["queue", "retry", "--state", "parkd"], "parkd"),
        (["queue", "retry", "--cause", "moon"], "moon"),
        (["queue", "retry", "--since", "yesterday"], "neither a duration"),
        (["queue", "retry", "--since", "1200"], "neither a duration"),
        (["queue", "retry", "--all-parked", "--state", "held"], "exclude each other"),
        (["series", "route", "--state", "held"], "--target"),
        (["series", "route", "1", "--target", "nowhere"], "no target 'nowhere'"),
        (["queue", "retry", "0"], "0"),
    ],
)
def test_nonsense_is_a_usage_error(run: Run, home: Home, words: list[str], says: str) -> None:
    assert says in run(*words, code=2).stderr
    assert home.spool.commands.list() == []


def test_a_state_in_which_it_cannot_be_done_is_said_before_anybody_is_asked(run: Run, home: Home) -> None:
    assert "not for delivered ones" in run("queue", "cancel", "--state", "delivered", code=1).stderr
    assert home.spool.commands.list() == []


@pytest.mark.parametrize(("answer", "asked"), [("y\n", 1), ("n\n", 0)])
def test_on_a_terminal_many_are_asked_for_first(
    run: Run, home: Home, three: list[int], monkeypatch: pytest.MonkeyPatch, answer: str, asked: int
) -> None:
    monkeypatch.setattr(choosing, "ASK_ABOVE", 1)
    monkeypatch.setattr(choosing, "_must_ask", lambda values: not values["yes"])
    done = run("queue", "hold", "--target", "pacs", input=answer, code=0 if asked else 1)
    assert "hold 3 deliveries?" in done.output and len(home.spool.commands.list()) == asked
    run("queue", "cancel", "--target", "pacs", "--yes")
    assert len(home.spool.commands.list()) == asked + 1


def test_causes_are_told_with_what_to_do_and_the_command_that_lets_them_go_on(
    run: Run, home: Home, three: list[int]
) -> None:
    (found,) = listed(run, "queue", "causes")
    assert (found["target"], found["cause"], found["count"], found["state"]) == ("pacs", "unknown_ae", 1, "parked")
    assert found["example"] == listed(run, "queue", "list", "--state", "parked")[0]["id"]
    assert found["then"] == "scanpost queue retry --target pacs --cause unknown_ae --state parked"
    assert HINTS[Cause.UNKNOWN_AE].first in run("queue", "causes").stdout
    assert listed(run, "queue", "causes", "--target", "ai") == []
    done = listed(run, *found["then"].split()[1:])
    assert done["done"] == 1
    assert "no delivery is kept" in run("queue", "causes").stderr


def test_without_a_router_an_act_is_written_down(
    run: Run, home: Home, three: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "tell_committed", lambda settings, source: None)
    assert "is written down" in run("queue", "hold", "--target", "pacs", code=1).stderr
    assert [one.state for one in home.spool.commands.list()] == ["new"]

"""`scanpost routing` over real version files: every fault told, nobody's edit overwritten, small edits, undo."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from protocol.clock import SystemClock
from protocol.fsops import RealFs
from protocol.routing.versions import RoutingVersions
from scanpost.main import cli

Run = Callable[..., Result]
CONFIGURATION: dict[str, Any] = {
    "targets": {"pacs": {"type": "dicom", "host": "pacs", "port": 104, "called_ae": "PACS"}},
    "sources": {"mr1": {"calling_ae": "MR1"}},
    "rules": [
        {"name": "mr", "when": "Modality == 'MR'", "action": "route", "targets": ["pacs"]},
        {"name": "ct", "when": "Modality == 'CT'", "action": "route", "targets": ["pacs"]},
    ],
}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def runner(*words: str, code: int = 0, input: str | None = None) -> Result:
        done = CliRunner().invoke(cli, ["--home", str(tmp_path / "home"), *words], input=input)
        assert done.exit_code == code, done.output
        return done

    return runner


def written(tmp_path: Path, data: Any, name: str = "routing.json") -> str:
    file = tmp_path / name
    file.write_text(data if isinstance(data, str) else json.dumps(data))
    return str(file)


def with_rule(**changes: Any) -> dict[str, Any]:
    first, second = CONFIGURATION["rules"]
    return CONFIGURATION | {"rules": [first | changes, second]}


def numbers(run: Run) -> list[int]:
    return [one["number"] for one in json.loads(run("routing", "history", "--json").stdout)]


# --- what is wrong


def test_check_and_import_tell_every_fault_in_a_line_of_its_own_and_change_nothing(run: Run, tmp_path: Path) -> None:
    bad = with_rule(when="Modalty == 'MR'", targets=["paks"])
    bad["targets"] = {"pacs": CONFIGURATION["targets"]["pacs"] | {"port": 0}}
    file = written(tmp_path, bad)
    for command in ("check", "import"):
        done = run("routing", command, file, code=78)
        assert done.stdout == ""
        assert [line.split(": ")[1] for line in done.stderr.splitlines()] == ["targets.pacs.port", "rules[0].when"]
        assert all(line.startswith("routing.json: ") for line in done.stderr.splitlines())
        told = json.loads(run("routing", command, file, "--json", code=78).stdout)
        assert [one["place"] for one in told["findings"]] == ["targets.pacs.port", "rules[0].when"]
        assert told["ok"] is False and told["more"] == 0 and "Modality" in told["findings"][1]["cure"]
    assert numbers(run) == []


def test_a_failing_test_case_stops_an_import_and_is_found_by_check(run: Run, tmp_path: Path) -> None:
    file = written(tmp_path, with_rule(tests=[{"name": "head", "header": {"Modality": "CT"}, "expect": "true"}]))
    for command in ("check", "import"):
        (line,) = run("routing", command, file, code=78).stderr.splitlines()
        assert "rules[0].tests: rule 'mr': test head expects true, but the rule is false" in line


def test_warnings_are_told_and_stop_only_a_strict_import(run: Run, tmp_path: Path) -> None:
    file = written(tmp_path, with_rule(expires="2020-01-01"))
    assert "warning: routing.json: rules[0].expires: rule 'mr' expired" in run("routing", "check", file).stderr
    run("routing", "check", file, "--strict", code=78)
    run("routing", "import", file, "--strict", code=78)
    assert numbers(run) == []
    document = json.loads(run("routing", "import", file, "--json").stdout)
    assert document["version"] == 1 and [one["level"] for one in document["findings"]] == ["warning"]


def test_a_target_that_is_this_node_is_refused(run: Run, tmp_path: Path) -> None:
    loop = CONFIGURATION["targets"]["pacs"] | {"host": "localhost", "port": 11112}
    file = written(tmp_path, CONFIGURATION | {"targets": {"pacs": loop}})
    (line,) = run("routing", "import", file, code=78).stderr.splitlines()
    assert "targets.pacs: target 'pacs' is this node itself" in line
    run("--set", "receiver.port=11113", "routing", "import", file)


# --- versions


def test_import_tells_what_changed_and_a_dry_run_changes_nothing(run: Run, tmp_path: Path) -> None:
    run("routing", "import", written(tmp_path, CONFIGURATION))
    file = written(tmp_path, with_rule(priority="urgent"))
    done = run("routing", "import", file, "--dry-run")
    assert '    priority: "normal" -> "urgent"' in done.stderr.splitlines() and "dry run" in done.stderr
    assert numbers(run) == [1]
    done = run("routing", "import", file, "-r", "stroke")
    assert done.stderr.splitlines()[:2] == ["~ rule 'mr'", '    priority: "normal" -> "urgent"']
    (first, second) = json.loads(run("routing", "history", "--json").stdout)[::-1]
    assert (second["reason"], second["changes"], second["parent"]) == ("stroke", "rule 'mr' changed", 1)
    assert "rule 'ct' added" in first["changes"]


def test_of_two_editors_the_second_is_told_who_changed_what_and_nothing_is_overwritten(
    run: Run, tmp_path: Path
) -> None:
    run("routing", "import", written(tmp_path, CONFIGURATION))
    mine = json.loads(run("routing", "export").stdout)
    run("routing", "mode", "ct", "off", "--reason", "scanner is gone")
    mine["rules"][0]["priority"] = "urgent"
    file = written(tmp_path, mine)
    (line,) = run("routing", "import", file, code=78).stderr.splitlines()
    assert "started from version 1, but version 2 was published meanwhile by " in line
    assert "scanner is gone" in line and "since version 1: rule 'ct' changed" in line and "--base 2" in line
    assert numbers(run) == [2, 1]
    mine["rules"][1]["mode"] = "off"
    run("routing", "import", written(tmp_path, mine), "--base", "2")
    assert "rule 'mr' changed" in run("routing", "history").stdout
    again = run("routing", "import", file, code=78)
    assert "version 3 was published meanwhile" in again.stderr, "the mark of the file stays what it was"


def test_a_file_can_be_edited_on_with_the_mark_that_import_names(run: Run, tmp_path: Path) -> None:
    run("routing", "import", written(tmp_path, CONFIGURATION))
    text = run("routing", "export").stdout
    first = run("routing", "import", written(tmp_path, text.replace("normal", "urgent", 1)))
    new = first.stderr.rpartition('"$base": "')[2].partition('"')[0]
    old = json.loads(text)["$base"]
    run("routing", "import", written(tmp_path, text.replace(old, new)))
    assert json.loads(run("routing", "export").stdout)["$base"].startswith("3-")


def test_rules_travel_to_another_node_and_leave_its_targets_alone(run: Run, tmp_path: Path) -> None:
    run("routing", "import", written(tmp_path, CONFIGURATION))
    exported = run("routing", "export", "--rules").stdout
    assert set(json.loads(exported)) == {"$base", "$only", "rules"}
    other = CliRunner()
    home = ["--home", str(tmp_path / "other")]
    targets = {"pacs": CONFIGURATION["targets"]["pacs"] | {"host": "elsewhere"}}
    for index in range(2):  # so that its numbers are other ones
        file = written(tmp_path, {"targets": targets, "sources": {f"s{index}": {"calling_ae": "S"}}}, "other.json")
        assert other.invoke(cli, [*home, "routing", "import", file]).exit_code == 0
    done = other.invoke(cli, [*home, "routing", "import", "-"], input=exported)
    assert done.exit_code == 0, done.output
    assert "no version of this node" in done.stderr
    current = json.loads(other.invoke(cli, [*home, "routing", "export"]).stdout)
    assert [rule["name"] for rule in current["rules"]] == ["mr", "ct"]
    assert current["targets"]["pacs"]["host"] == "elsewhere" and set(current["sources"]) == {"s1"}


def test_sections_that_nobody_else_touched_can_be_imported_over_a_newer_version(run: Run, tmp_path: Path) -> None:
    run("routing", "import", written(tmp_path, CONFIGURATION))
    rules = json.loads(run("routing", "export", "--rules").stdout)
    run("sources", "set", "mr1", "quiet_s=30")
    rules["rules"][0]["stop"] = True
    run("routing", "import", written(tmp_path, rules))
    current = json.loads(run("routing", "export").stdout)
    assert current["sources"]["mr1"]["quiet_s"] == 30 and current["rules"][0]["stop"] is True
    rules["rules"][0]["stop"] = False
    assert "rule 'mr' changed" in run("routing", "import", written(tmp_path, rules), code=78).stderr
    assert "missing" in run("routing", "import", written(tmp_path, {}), "--only", "rules", code=78).stderr


def test_undo_takes_the_last_version_back_and_a_second_one_takes_back_the_first(run: Run, tmp_path: Path) -> None:
    assert "nothing before it" in run("routing", "undo", code=78).stderr
    run("routing", "import", written(tmp_path, CONFIGURATION))
    assert "nothing before it" in run("routing", "undo", code=78).stderr
    run("routing", "mode", "mr", "off", "-r", "x")
    assert '    mode: "off" -> "active"' in run("routing", "undo", "--dry-run").stderr
    run("routing", "undo")
    assert json.loads(run("routing", "diff", "1", "3", "--json").stdout)["changes"] == []
    run("routing", "undo")
    assert json.loads(run("routing", "diff", "2", "4", "--json").stdout)["changes"] == []
    document = json.loads(run("routing", "rollback", "1", "--json").stdout)
    assert document["version"] == 5 and document["changes"][0]["name"] == "mr"


def test_diff_compares_versions_and_files_by_meaning_or_line_by_line(run: Run, tmp_path: Path) -> None:
    run("routing", "import", written(tmp_path, CONFIGURATION))
    run("routing", "mode", "mr", "shadow", "-r", "x")
    expected = ["version 1 -> version 2", "~ rule 'mr'", '    mode: "active" -> "shadow"']
    for words in (("1", "2"), ("1",), ()):
        assert run("routing", "diff", *words).stdout.splitlines() == expected
    same = written(tmp_path, dict(reversed(with_rule(mode="shadow").items())))
    assert run("routing", "diff", same).stdout.splitlines() == ["version 2 -> routing.json", "nothing changed"]
    assert '-      "mode": "active",' in run("routing", "diff", "1", "2", "--text").stdout.splitlines()
    run("routing", "diff", "1", "2", "3", code=2)
    run("routing", "diff", "nowhere.json", code=2)
    run("routing", "diff", "1", "9", code=78)


# --- small edits


def test_a_mode_is_changed_on_top_of_whatever_is_current(run: Run, tmp_path: Path) -> None:
    run("routing", "import", written(tmp_path, CONFIGURATION))
    done = run("routing", "mode", "mr", "shadow", "--reason", "looks odd")
    assert done.stderr.splitlines() == ["~ rule 'mr'", '    mode: "active" -> "shadow"', "version 2 is current"]
    assert "stays current" in run("routing", "mode", "mr", "shadow", "-r", "again").stderr
    assert numbers(run) == [2, 1]
    assert "did you mean 'mr'?" in run("routing", "mode", "mrr", "off", "-r", "x", code=1).stderr
    run("routing", "mode", "mr", "off", code=2)
    run("routing", "mode", "mr", "off", "--off-until", "2099-01-01", "-r", "x", code=2)
    assert "off_until" in run("routing", "mode", "mr", "shadow", "--off-until", "soon", "-r", "x", code=78).stderr
    done = run("routing", "mode", "mr", "shadow", "--off-until", "2099-01-01", "-r", "x")
    assert '    off_until: "" -> "2099-01-01"' in done.stderr or "2099-01-01" in done.stderr
    assert "2099-01-01" in run("routing", "mode", "mr", "shadow", "-r", "it is needed again").stderr


def test_an_edit_is_not_stopped_by_what_was_wrong_before_but_by_what_it_brings(run: Run, tmp_path: Path) -> None:
    failing = [{"header": {"Modality": "CT"}, "expect": "true"}]
    run("routing", "import", written(tmp_path, with_rule(mode="off", tests=failing, targets=["pacs"])))
    assert "test 1 expects true" in run("routing", "mode", "mr", "active", "-r", "x", code=78).stderr
    loop = ("--set", "receiver.port=104", "--set", "receiver.host=0.0.0.0")
    run(*loop, "routing", "mode", "ct", "shadow", "-r", "x")


def test_an_edit_that_is_overtaken_is_made_again_on_top(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("routing", "import", written(tmp_path, CONFIGURATION))
    other = RoutingVersions(tmp_path / "home" / "config" / "routing", RealFs(), SystemClock())
    publish, faster = RoutingVersions.publish, iter(["ct"])

    def overtaken(self: RoutingVersions, *arguments: Any, **more: Any) -> Any:
        if self is not other and next(faster, None):
            current = other.current()
            rules = tuple(rule.model_copy(update={"mode": "off"}) for rule in current.configuration.rules[1:])
            changed = current.configuration.model_copy(update={"rules": (current.configuration.rules[0], *rules)})
            publish(other, changed, "bob", "", current.number)
        return publish(self, *arguments, **more)

    monkeypatch.setattr(RoutingVersions, "publish", overtaken)
    run("routing", "mode", "mr", "shadow", "-r", "x")
    modes = [rule["mode"] for rule in json.loads(run("routing", "export").stdout)["rules"]]
    assert modes == ["shadow", "off"] and numbers(run) == [3, 2, 1]


# --- the folder


def test_a_folder_that_cannot_be_written_is_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "home" / "config").mkdir(parents=True)
    (tmp_path / "home" / "config" / "routing").write_text("in the way")
    done = run("routing", "import", written(tmp_path, CONFIGURATION), code=78)
    assert len(done.stderr.splitlines()) == 1 and "routing" in done.stderr

"""Logs are read from their end, merged by time, a page at a time, whatever programs printed."""

import json
import os
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from webgui.areas.logs import reading
from webgui.areas.logs.reading import Wanted, page

T0 = 1_800_000_000


def line(at, action="done", **more):
    time = datetime.fromtimestamp(T0 + at, UTC).isoformat().replace("+00:00", "Z")
    return json.dumps({"actor": "router", "level": "info", "time": time, "action": action, **more}) + "\n"


def everything(folder, wanted=Wanted(), limit=3):
    found, place = [], None
    while True:
        one = page(folder, wanted, place, limit)
        found += one.lines
        place = one.next
        if place is None:
            return found


def test_files_are_merged_newest_first_and_pages_miss_and_repeat_nothing(tmp_path):
    (tmp_path / "router.log").write_text("".join(line(n, arrival=n) for n in range(10, 20)))
    (tmp_path / "router.log.1").write_text("".join(line(n, arrival=n) for n in range(10)))
    (tmp_path / "receiver.log").write_text("".join(line(n + 0.5, arrival=100 + n) for n in range(20)))
    (tmp_path / "supervisord.log").write_text("plain\n")
    found = everything(tmp_path)
    assert [one.at for one in found] == sorted((one.at for one in found), reverse=True)
    assert sorted(one.fields["arrival"] for one in found) == [*range(20), *range(100, 120)]


def test_filters_choose_by_program_level_text_and_arrival(tmp_path):
    (tmp_path / "router.log").write_text(line(1, "closed", arrival=7) + line(2, "failed", level="error", target="PACS"))
    (tmp_path / "receiver.log").write_text(line(3, "closed", arrival=7))
    assert [one.file for one in everything(tmp_path, Wanted(program="router"))] == ["router.log"] * 2
    assert [one.action for one in everything(tmp_path, Wanted(level="warning"))] == ["failed"]
    assert [one.action for one in everything(tmp_path, Wanted(text="pacs"))] == ["failed"]
    assert [one.file for one in everything(tmp_path, Wanted(arrival=7))] == ["receiver.log", "router.log"]


def test_what_a_program_printed_stays_with_the_line_before_it(tmp_path):
    (tmp_path / "router.log").write_text(line(1, "first") + "Traceback\n  File x\n" + line(5, "second"))
    found = everything(tmp_path, limit=1)
    assert [one.action or one.text for one in found] == ["second", "  File x", "Traceback", "first"]
    assert found[1].at == T0 + 1


def test_lines_of_a_file_without_times_stand_where_it_was_last_written(tmp_path):
    (tmp_path / "router.log").write_text(line(1, "first") + line(5, "second"))
    (tmp_path / "demo.log").write_text("plain\n" * 300)
    os.utime(tmp_path / "demo.log", (T0 + 3, T0 + 3))
    (tmp_path / "old.log").write_text("before any time\n" + line(2, "old"))
    told = [one.action or one.text for one in everything(tmp_path, limit=50)]
    assert told == ["second", *["plain"] * 300, "old", "before any time", "first"]


def test_a_file_that_grows_while_one_pages_shifts_nothing(tmp_path):
    (tmp_path / "router.log").write_text("".join(line(n, arrival=n) for n in range(6)))
    first = page(tmp_path, Wanted(), None, 3)
    with (tmp_path / "router.log").open("a") as file:
        file.write(line(9, arrival=9))
    second = page(tmp_path, Wanted(), first.next, 3)
    assert [one.fields["arrival"] for one in first.lines + second.lines] == [5, 4, 3, 2, 1, 0]


def test_a_search_that_finds_nothing_gives_up_and_says_where(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MOST_BYTES", 100_000)
    (tmp_path / "router.log").write_text("".join(line(n) for n in range(5000)))
    found = page(tmp_path, Wanted(text="nowhere"), None, 10)
    assert found.lines == [] and found.cut and 0 < found.next["router.log"] < 5000 * 100


def test_no_folder_and_odd_places_are_nothing(tmp_path):
    assert page(tmp_path / "none", Wanted(), None, 5).lines == []
    (tmp_path / "router.log").write_text(line(1))
    assert len(page(tmp_path, Wanted(), {"router.log": 10**12, "../x": 5}, 5).lines) == 1


@settings(max_examples=30)
@given(st.lists(st.one_of(st.just("json"), st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), max_size=30)), max_size=30),
       st.integers(1, 7))  # fmt: skip
def test_every_line_comes_once_whatever_stands_in_the_file(tmp_path_factory, pieces, limit):
    folder = tmp_path_factory.mktemp("log")
    lines = [line(n) if piece == "json" else piece + "\n" for n, piece in enumerate(pieces)]
    (folder / "router.log").write_text("".join(lines), newline="")
    shown = [one.text for one in everything(folder, limit=limit)]
    assert shown == [one.removesuffix("\n") for one in reversed(lines) if one.encode().strip()]

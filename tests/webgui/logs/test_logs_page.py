"""The logs on a page: escaped, filtered, paged, as a file; never another file than a log."""

import json

import pytest
from webgui_fakes import PAGE

EVIL = "<script>alert(1)</script>"


@pytest.fixture
def logs(real):
    folder = real.settings.log_folder
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        {"time": f"2026-11-26T08:00:{n:02}Z", "level": "info" if n else "error", "actor": "router", "action": "closed",
         "arrival": n + 1, "target": EVIL} for n in range(5)
    ]  # fmt: skip
    (folder / "router.log").write_text("".join(json.dumps(one) + "\n" for one in lines))
    (folder / "secret.txt").write_text("not a log")
    return lines


async def text_of(client, path):
    answer = await client.get(path, headers=PAGE)
    assert answer.status == 200
    return await answer.text()


async def test_lines_stand_newest_first_and_stay_text(logs, real_viewer):
    page = await text_of(real_viewer, "/logs")
    assert EVIL not in page and "&lt;script&gt;" in page
    assert 'href="/series/5"' in page and page.index("/series/5") < page.index("/series/1")


async def test_pages_go_back_and_forth_by_the_address_alone(logs, real_viewer):
    first = await (await real_viewer.get("/api/v1/logs?limit=2")).json()
    second = await (await real_viewer.get("/api/v1/logs", params={"limit": 9, "after": first["next"]})).json()
    assert [one["fields"]["arrival"] for one in first["lines"] + second["lines"]] == [5, 4, 3, 2, 1]
    assert second["next"] is None
    assert [one["level"] for one in (await (await real_viewer.get("/api/v1/logs?level=error")).json())["lines"]] == [
        "error"
    ]


async def test_a_window_is_a_file_of_the_lines_as_they_were_written(logs, real_viewer):
    answer = await real_viewer.get("/logs?format=jsonl&arrival=3")
    assert "attachment" in answer.headers["Content-Disposition"]
    assert [json.loads(one) for one in (await answer.text()).splitlines()] == [logs[2]]


@pytest.mark.parametrize("query", ["program=../secret", "after=%00", "level=loud", "arrival=x", "limit=99999"])
async def test_odd_questions_are_refused(logs, real_viewer, query):
    assert (await real_viewer.get(f"/api/v1/logs?{query}")).status == 422


async def test_without_logs_the_page_says_what_will_stand_there(real_viewer):
    assert "one line for each finished piece of work" in await text_of(real_viewer, "/logs")

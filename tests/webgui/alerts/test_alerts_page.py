"""Alerts on a page and for programs: what stands, care, silence with an end, tests of the ways of telling."""

import json

import pytest
from webgui_fakes import HOME, PAGE

from protocol.spool.alerting import Symptom
from protocol.spool.alerts import Step
from protocol.spool.letters import Item
from webgui.areas.alerts.pages import SHOWN

EVIL = "<script>alert(1)</script>"


@pytest.fixture
def standing(real):
    symptoms = [
        Symptom("target.down.pacs", f"target pacs is down {EVIL}", "critical", "target/pacs", 5),
        Symptom("clock", "the clock jumped"),
    ]
    real.spool.alerts.apply([Step("raise", one) for one in symptoms])
    return real.spool


async def page_of(client, path="/alerts"):
    answer = await client.get(path, headers=PAGE)
    assert answer.status == 200
    return await answer.text()


async def test_without_alerts_the_page_says_what_will_stand_there(real_viewer):
    page = await page_of(real_viewer)
    assert "Nothing needs a person" in page and "a disk that fills up" in page
    assert "scanpost.toml" in page  # no way of telling is set


async def test_alerts_stand_with_what_they_are_about_and_stay_text(standing, real_admin):
    page = await page_of(real_admin)
    assert "Target pacs is down &lt;script&gt;" in page and EVIL not in page
    assert "target/pacs" in page and "5 of it" in page


async def test_of_thousands_of_alerts_the_page_shows_some_and_counts_the_others(real, real_admin):
    few = await page_of(real_admin)
    assert "further alerts" not in few
    real.spool.alerts.apply([Step("raise", Symptom(f"quarantine.X{number}", "odd")) for number in range(SHOWN + 50)])
    page = await page_of(real_admin)
    assert page.count('class="card alert-card"') == SHOWN
    assert f"{SHOWN + 50} open" in page and "50 further alerts" in page


async def test_an_alert_that_only_waits_to_be_cleared_says_so(standing, real_admin):
    assert "Over since" not in await page_of(real_admin)
    standing.alerts.apply([Step("going", Symptom("clock", "the clock jumped"))])
    page = await page_of(real_admin)
    assert page.count("Over since") == 1 and "unless it comes back" in page
    told = {one["key"]: one for one in (await (await real_admin.get("/api/v1/alerts")).json())["alerts"]}
    over = standing.alerts.get("clock").gone
    assert (told["clock"]["over_since"], told["clock"]["clears_at"]) == (over, over + 300)
    assert told["target.down.pacs"]["over_since"] is None


@pytest.mark.parametrize(
    ("key", "about", "href"),
    [("arrival.held.MR 2&x", "source/MR 2&x", "/series?state=held&amp;source=MR%202%26x"),
     ("arrival.aside.CT1", "source/CT1", "/series?state=held&amp;source=CT1"),
     ("arrival.held.others", "source/others", "/series?state=held"), ("quarantine.CT1", "source/CT1", "/quarantine"),
     ("source.silent.CT1", "source/CT1", "/series?source=CT1")],
)  # fmt: skip
async def test_an_alert_leads_to_where_somebody_decides_and_names_no_command(real, real_admin, key, about, href):
    symptom = Symptom(key, "2 series wait: `scanpost series list --state held`", "warning", about, 2)
    real.spool.alerts.apply([Step("raise", symptom)])
    page = await page_of(real_admin)
    assert (
        f'href="{href}"' in page and '<p class="alert-text">2 series wait</p>' in page and "scanpost series" not in page
    )


async def test_who_takes_care_is_shown_to_all_and_told_to_programs(standing, real_admin):
    await real_admin.post("/alerts/acknowledge", data={"alert": "clock", "note": "NTP is back"}, headers=HOME)
    assert "NTP is back" in await page_of(real_admin)
    body = await (await real_admin.get("/api/v1/alerts")).json()
    (one,) = [one for one in body["alerts"] if one["key"] == "clock"]
    assert (one["state"], one["by"]) == ("acknowledged", "ann")
    again = await real_admin.post("/api/v1/alerts/acknowledge", json={"alert": "nothing"}, headers=HOME)
    assert again.status == 404


async def test_a_silence_has_an_end_a_reason_and_a_way_back(standing, real_admin, accounts):
    form = {"pattern": "target/*", "hours": "2", "reason": "update"}
    page = await (await real_admin.post("/alerts/silence", data=form, headers=HOME)).text()
    (silence,) = standing.alerts.silences()
    assert silence.until - silence.made == pytest.approx(7200, abs=60)
    assert standing.alerts.get("target.down.pacs").state == "silenced"
    assert 'action="/alerts/unsilence"' in page and "Undo" in page
    assert accounts.audit_trail()[0].after["reason"] == "update"
    await real_admin.post("/alerts/unsilence", data={"silence": silence.id}, headers=HOME)
    assert standing.alerts.silences() == []


WRONG = (
    {"pattern": "x", "hours": 0, "reason": "r"},
    {"pattern": "x", "hours": 1},
    {"pattern": "", "reason": "r"},
)


@pytest.mark.parametrize("body", WRONG)
async def test_a_silence_without_end_or_reason_is_refused_with_the_field(standing, real_admin, body):
    answer = await real_admin.post("/api/v1/alerts/silences", json=body, headers=HOME)
    assert answer.status == 422
    assert standing.alerts.silences() == []


async def test_a_test_is_asked_of_the_bookkeeper(real, real_admin):
    answer = await real_admin.post("/api/v1/alerts/test", json={"channel": "mail"}, headers=HOME)
    assert answer.status == 202
    (command,) = real.spool.commands.pending("bookkeeper")
    assert (command.kind, command.arguments["channel"], command.by) == ("alerts.test", "mail", "ann")


async def test_the_steps_of_a_test_stand_as_a_ladder(real, real_admin):
    id = real.spool.commands.ask("alerts.test", "ann", {"channel": "mail"}, "bookkeeper")
    assert "is on its way" in await page_of(real_admin, f"/alerts?test={id}")
    steps = [
        {"name": "TCP", "ok": True, "seconds": 0.01, "text": "mail:25"},
        {"name": "log-in", "ok": False, "seconds": 0.2, "text": EVIL},
    ]
    real.spool.commands.fail(id, json.dumps({"ok": False, "steps": steps}))
    page = await page_of(real_admin, f"/alerts?test={id}")
    assert "log-in" in page and "failed" in page and "10 ms" in page and EVIL not in page
    other = real.spool.commands.ask("clean.now", "ann", {}, "cleaner")
    assert (await real_admin.get(f"/alerts?test={other}", headers=PAGE)).status == 404


async def test_messages_show_no_address_that_may_be_a_secret(real, real_admin):
    real.spool.letters.happened(
        real.spool.outbox.head(), [Item("webhook:https://chat.example/hooks/SECRET", {"text": "x"})]
    )
    items = real.spool.letters.items("webhook:https://chat.example/hooks/SECRET")
    real.spool.letters.seal(items, {"subject": "1 alert", "count": 1})
    page = await page_of(real_admin)
    assert "chat.example" in page and "SECRET" not in page
    text = await (await real_admin.get("/api/v1/alerts/messages")).text()
    assert "1 alert" in text and "SECRET" not in text


async def test_lookers_on_change_nothing(standing, real_viewer):
    assert "/alerts/silence" not in await page_of(real_viewer)
    for path in ("acknowledge", "silence", "unsilence", "test"):
        assert (await real_viewer.post(f"/alerts/{path}", data={"alert": "clock"}, headers=HOME)).status == 403

"""The first-run guide: what is listening, what was seen, the test study, what comes next."""

import sys

from real_node import PACS
from webgui_fakes import HOME, PAGE

from webgui.areas.welcome import pages


async def page(client):
    answer = await client.get("/welcome", headers=PAGE)
    assert answer.status == 200
    return await answer.text()


async def test_it_shows_what_to_type_into_a_scanner_and_turns_green_when_one_calls(real, real_admin):
    text = await page(real_admin)
    assert "listening" in text and "11112" in text and "SCANPOST" in text
    number = real.arrival(calling_ae="CT7")
    text = await page(real_admin)
    assert "somebody called" in text and "CT7" in text and f"/rules/new?from={number}" in text and "All set" in text


async def test_a_test_study_is_sent_by_a_process_of_its_own_and_stands_in_the_audit(real_admin, accounts, monkeypatch):
    monkeypatch.setattr(pages, "SAMPLE", (sys.executable, "-c", "print('sent 7 of 7 images')"))
    answer = await real_admin.post("/welcome/sample", headers=HOME | PAGE, allow_redirects=False)
    assert answer.status == 303 and "Sent 7 of 7 images" in await page(real_admin)
    assert accounts.audit_trail(limit=1)[0].action == "sample sent"
    monkeypatch.setattr(pages, "SAMPLE", (sys.executable, "-c", "raise SystemExit(1)"))
    answer = await real_admin.post("/api/v1/welcome/sample", headers=HOME, json={})
    assert answer.status == 503 and "could not be sent" in (await answer.json())["text"]


async def test_without_a_target_it_offers_to_add_one_and_a_viewer_only_looks(real, real_viewer):
    real.versions.publish(type(real.versions.current().configuration)(), "ann", "", 1)
    text = await page(real_viewer)
    assert "Add a target" in text and "/targets/new" not in text and PACS["called_ae"] not in text
    assert (await real_viewer.post("/welcome/sample", headers=HOME)).status == 403

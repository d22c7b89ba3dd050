"""The first-run guide: what is listening, what was seen, the test study, what comes next."""

import asyncio
import sys

from webgui_fakes import HOME, PAGE, log_in

from protocol.testing.images import TestImage
from webgui.areas.welcome import sending


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
    monkeypatch.setattr(sending, "SAMPLE", (sys.executable, "-c", "print('sent 7 of 7 images')"))
    answer = await real_admin.post("/api/v1/welcome/sample", headers=HOME, json={})
    assert await answer.json() == {"sent": True, "text": "Sent 7 of 7 images."}
    assert accounts.audit_trail(limit=1)[0].action == "sample sent"
    monkeypatch.setattr(sending, "SAMPLE", (sys.executable, "-c", "raise SystemExit(1)"))
    answer = await real_admin.post("/api/v1/welcome/sample", headers=HOME, json={})
    assert answer.status == 503 and "could not be sent" in (await answer.json())["text"]
    assert "could not be sent" in await page(real_admin)


async def test_a_test_study_goes_on_to_the_target_that_was_chosen_and_its_way_is_shown(real, real_admin, monkeypatch):
    never = {"name": "never", "when": "Modality == 'XX'", "action": "route", "targets": ["pacs"]}
    real.publish(never)
    real.answering()
    monkeypatch.setattr(sending, "SAMPLE", (sys.executable, "-c", "print('sent 1 of 1 images of x')"))
    assert (await real_admin.post("/welcome/sample", headers=HOME, data={"target": "gone"})).status == 422
    await real_admin.post("/welcome/sample", headers=HOME | PAGE, data={"target": "pacs"})
    real.receive(TestImage(study=8), calling_ae=sending.SAMPLE_AE)
    async with asyncio.timeout(60):
        while "sent on all the same" not in (text := await page(real_admin)):
            await asyncio.sleep(0.05)
    assert "no rule wants it" in text and "waits for its turn to pacs" in text
    assert "listening" in text  # our own study is no scanner


async def test_a_node_without_rules_leads_its_admin_to_the_guide(real, real_app, aiohttp_client, people):
    real.versions.publish(type(real.versions.current().configuration)(), "ann", "", 1)
    client = await log_in(await aiohttp_client(real_app), "ann")
    await client.get("/api/v1/status")
    assert 'class="hint"' in await (await client.get("/targets", headers=PAGE)).text()
    real.publish()
    assert 'class="hint"' not in await (await client.get("/targets", headers=PAGE)).text()


async def test_without_a_target_it_offers_to_add_one_and_a_viewer_only_looks(real, real_viewer):
    real.versions.publish(type(real.versions.current().configuration)(), "ann", "", 1)
    text = await page(real_viewer)
    assert "Add a target" in text and "/targets/new" not in text and "All set" not in text
    assert (await real_viewer.post("/welcome/sample", headers=HOME)).status == 403

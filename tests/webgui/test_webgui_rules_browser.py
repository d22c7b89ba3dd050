"""A real browser makes a rule from a series: rows and text follow each other, names are completed, it is tried and activated."""

import os
import shutil

import pytest
from aiohttp import web
from real_node import PACS
from webgui_fakes import PASSWORD

playwright = pytest.importorskip("playwright.async_api", reason="playwright is not installed (extra: test)")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium: apt install chromium"),
]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


@pytest.fixture
async def page(real_app, people):
    """A logged-in page; anything on its console is an error."""
    runner = web.AppRunner(real_app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    site = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = await (await browser.new_context(base_url=site, viewport={"width": 1280, "height": 900})).new_page()
        page.set_default_timeout(20_000)
        complaints = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto("/login")
        await page.fill("[name=name]", "ann")
        await page.fill("[name=password]", PASSWORD)
        await page.click("button.primary")
        await page.wait_for_url("**/")
        yield page
        await browser.close()
        assert complaints == []
    await runner.cleanup()


async def test_a_rule_is_made_of_a_series_tried_and_activated(page, real):
    number = real.arrival(calling_ae="CT7")
    await page.goto(f"/rules/new?from={number}")
    when = page.locator("#when")
    await page.wait_for_selector(".brow .bfield")
    assert "SenderAET == 'CT7'" in await when.input_value()

    # a row changes the text, and the English with it
    row = page.locator(".brow").last
    await row.locator(".btest").select_option("!=")
    await page.wait_for_function("() => document.querySelector('#when').value.includes(\"!= 'CT7'\")")
    await page.wait_for_function("() => document.querySelector('#when-said').textContent.includes('is not')")
    await row.locator(".btest").select_option("==")
    await page.wait_for_function("() => document.querySelector('#when').value.includes(\"== 'CT7'\")")

    # what a name means stands below its row and is read out with its field
    about = row.locator(".about")
    await about.filter(has_text="seen here in 30 days: CT7").wait_for()
    assert await row.locator(".bfield").get_attribute("aria-describedby") == await about.get_attribute("id")

    # a fault in the text is told with its place; a name is completed with Tab
    await when.fill("Modalty == 'CT'")
    await page.wait_for_function("() => document.querySelector('#when-said mark')?.textContent === 'Modalty'")
    await when.fill("")
    await when.press_sequentially("SenderAE")
    await page.wait_for_selector("#complete:not([hidden]) [role=option]")
    await when.press("Tab")
    await when.press_sequentially(" == 'CT7'")
    assert await when.input_value() == "SenderAET == 'CT7'"
    await when.press("Home")
    await when.press("ArrowRight")
    await page.locator("#when-about", has_text="sender's AE title").wait_for()

    # tried on the series without leaving the page, kept as a test case, activated
    await page.click("[data-try]")
    await page.wait_for_selector("#tried .verdict.ok")
    await page.fill("[name=name]", "from-ct7")
    await page.check("[name=targets][value=pacs]")
    await page.fill("[name=test_name]", "that series")
    await page.click("button[value=keep]")
    await page.wait_for_selector(".cases")
    await page.fill("[name=reason]", "five minutes")
    await page.click("button[value=activate]")
    await page.wait_for_selector(".flash.ok")
    now = real.versions.current()
    assert (now.reason, [rule.name for rule in now.configuration.rules]) == ("five minutes", ["all", "from-ct7"])

    # and taken back
    await page.click(".flash button")
    await page.wait_for_url("**/config/versions")
    assert [rule.name for rule in real.versions.current().configuration.rules] == ["all"]


async def test_what_the_rows_say_is_sent_although_their_text_is_still_on_its_way(page, real):
    """Somebody changes a row and presses the button at once: the condition of before must not be the one that is taken."""
    number = real.arrival(calling_ae="CT7")
    await page.goto(f"/rules/new?from={number}")
    await page.wait_for_selector(".brow .bfield")
    await page.wait_for_selector("#when-said .english")
    await page.route("**/rules/lint", lambda route: None)  # no answer for as long as the page stands
    row = page.locator(".brow").last
    await row.locator(".btest").select_option("!=")
    await page.click("[data-try]")
    await page.wait_for_selector("#tried .verdict.off")
    assert "!= 'CT7'" not in await page.locator("#when").input_value()
    await page.fill("[name=name]", "not-ct7")
    await page.check("[name=targets][value=pacs]")
    await page.click("button[value=activate]")
    await page.wait_for_selector(".flash.ok")
    (made,) = [rule for rule in real.versions.current().configuration.rules if rule.name == "not-ct7"]
    assert "!= 'CT7'" in made.when


async def test_text_that_is_typed_after_a_row_was_changed_is_what_counts(page, real):
    number = real.arrival(calling_ae="CT7")
    await page.goto(f"/rules/new?from={number}")
    await page.wait_for_selector(".brow .bfield")
    await page.locator(".brow").last.locator(".btest").select_option("!=")
    await page.fill("#when", "Modality == 'MR'")
    await page.fill("[name=name]", "only-mr")
    await page.check("[name=targets][value=pacs]")
    await page.click("button[value=activate]")
    await page.wait_for_selector(".flash.ok")
    (made,) = [rule for rule in real.versions.current().configuration.rules if rule.name == "only-mr"]
    assert made.when == "Modality == 'MR'"


async def test_a_long_name_of_a_target_fits_on_a_phone(page, real):
    name = "x" * 64
    real.publish(targets={"pacs": PACS, name: PACS})
    await page.set_viewport_size({"width": 375, "height": 700})
    await page.goto("/rules/new?blank=1")
    assert await page.locator(f".choice:has([value={name}])").is_visible()
    assert await page.evaluate("document.documentElement.scrollWidth") <= 375

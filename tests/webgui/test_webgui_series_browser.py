"""Series, queue, upload, wall and chart in one real browser: search, tick, hold and undo, a dialog, an upload with its report."""

import os
import shutil

import pytest
from aiohttp import web
from real_node import PACS
from webgui_fakes import PASSWORD

from protocol.causes import Cause
from protocol.spool.part10 import fresh
from protocol.testing.images import TestImage

playwright = pytest.importorskip("playwright.async_api", reason="playwright is not installed (extra: test)")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium: apt install chromium"),
]


@pytest.fixture
async def page(real_app, people):
    """A logged-in page of a real node; anything on its console is an error."""
    runner = web.AppRunner(real_app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = await (await browser.new_context(base_url=f"http://127.0.0.1:{runner.addresses[0][1]}")).new_page()
        page.set_default_timeout(20_000)
        complaints = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto("/login")
        await page.fill("[name=name]", "ann")
        await page.fill("[name=password]", PASSWORD)
        await page.click("button.primary")
        await page.wait_for_selector("nav.menu")
        yield page
        await browser.close()
        assert complaints == []
    await runner.cleanup()


async def test_an_operator_finds_acts_and_uploads_by_mouse_and_keyboard(page, real, tmp_path):
    ids = [real.arrival(TestImage(study=number)) for number in (1, 2)]
    real.answering()
    await searching(page, ids)
    await ticking_holding_and_undoing(page, real)
    await retrying_a_group_of_failures_by_dialog(page, real)
    await uploading(page, real, tmp_path)
    await going_by_keys_alone(page)
    await without_scripts(page, real)


async def searching(page, ids):
    await page.goto("/series")
    await page.keyboard.press("/")
    await page.keyboard.type("Test^Im")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/series?s=*")
    assert await page.input_value("input[type=search]") == "Test^Im"
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"**/series/{ids[1]}")
    assert await page.locator(".timeline .step").count() >= 5


async def ticking_holding_and_undoing(page, real):
    await page.goto("/queue")
    await page.check("[data-tick-all]")
    assert await page.locator("#bulk option[value=ids]").text_content() == "The 2 ticked"
    await page.click("button[value=hold]")
    await page.wait_for_selector("h1:has-text('2 deliveries?')")
    await page.fill("[name=reason]", "PACS is moved")
    await page.keyboard.press("Enter")
    await page.wait_for_selector(".flash >> text=Undo")
    assert {row["state"] for row in real.spool.deliveries.list()} == {"held"}
    await page.click(".flash >> text=Undo")
    await page.wait_for_selector(".flash >> text=Release: 2 deliveries")
    assert {row["state"] for row in real.spool.deliveries.list()} == {"waiting"}


async def retrying_a_group_of_failures_by_dialog(page, real):
    owner = real.spool.workers.enter("dispatcher", "0").owner
    claim = real.spool.deliveries.claim(owner, {"pacs": 9}, now=real.clock.now())
    real.spool.deliveries.park(claim, "refused", Cause.CONNECTION_REFUSED)
    await page.goto("/queue")
    await page.click("text=Retry this")
    await page.wait_for_selector("dialog[open] >> text=Retry 1 delivery to pacs now?")
    await page.click("dialog button.primary")
    await page.wait_for_selector(".flash >> text=Retry: 1 delivery")
    assert real.spool.deliveries.get(claim.delivery)["state"] == "waiting"


async def uploading(page, real, tmp_path):
    image = TestImage(study=5)
    file, other = tmp_path / "a.dcm", tmp_path / "readme.txt"
    file.write_bytes(fresh(image.sop_class_uid, image.sop_uid, image.transfer_syntax_uid) + image.dataset())
    other.write_text("hello")
    await page.goto("/upload")
    await page.set_input_files("input[name=files]", [file, other])
    await page.click("#upload button.primary")
    await page.wait_for_selector("#upload-report [data-counts] >> text=1 stored")
    assert await page.locator("#upload-report [data-files] tr").count() == 2
    series = await page.get_attribute("#upload-report [data-series] a", "href")
    assert real.spool.arrivals.get(int(series.rsplit("/", 1)[1]))["calling_ae"] == "UPLOAD"


async def without_scripts(page, real):
    """Every page of the menu can be read, and what failed retried, where no script runs."""
    owner = real.spool.workers.enter("dispatcher", "1").owner
    claim = real.spool.deliveries.claim(owner, {"pacs": 9}, now=real.clock.now())
    real.spool.deliveries.park(claim, "refused", Cause.CONNECTION_REFUSED)
    site = page.url.split("/upload")[0]
    context = await page.context.browser.new_context(base_url=site, java_script_enabled=False)
    plain = await context.new_page()
    await plain.goto("/queue")
    await plain.fill("[name=name]", "ann")
    await plain.fill("[name=password]", PASSWORD)
    await plain.click("button.primary")
    await plain.wait_for_url("**/queue")
    await plain.click("text=Retry this")
    await plain.wait_for_selector(".flash >> text=Retry: 1 delivery")
    assert real.spool.deliveries.get(claim.delivery)["state"] == "waiting"
    links = await plain.locator("nav.menu a").evaluate_all("links => links.map((one) => one.getAttribute('href'))")
    assert len(links) >= 14
    for link in dict.fromkeys(links):
        answer = await plain.goto(link)
        assert answer.status == 200 and await plain.locator("main h1").count() >= 1, link
    await context.close()


async def going_by_keys_alone(page):
    """Ctrl-K and a few letters go anywhere, or find a series; ? tells the keys."""
    await page.keyboard.press("Control+k")
    await page.wait_for_selector("dialog.palette[open]")
    await page.keyboard.type("targ")
    assert await page.locator(".palette [role=option]").first.text_content() == "Targetsg t"
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/targets")
    await page.keyboard.press("?")
    await page.wait_for_selector("dialog.keys[open] >> text=next and previous row")
    await page.keyboard.press("Escape")
    await page.keyboard.press("Control+k")
    await page.keyboard.type("Test^Im")
    await page.keyboard.press("ArrowUp")  # the last: search for it
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/series?s=*")
    await page.goto("/upload")


async def test_the_wall_says_how_much_has_no_room(page, real):
    names = [f"{number:02}{'x' * 62}" for number in range(30)]
    real.publish(targets={"pacs": PACS, **dict.fromkeys(names, PACS)})
    with real.spool.database.write() as tx:
        for name in names:
            tx.execute("INSERT INTO target_state (name, paused) VALUES (?, 1)", (name,))
    await page.goto("/wall")
    await page.wait_for_selector("#attention-more:visible")
    seen, cut = [await page.locator(f"#attention [data-key]{which}").count() for which in (":not(.cut)", ".cut")]
    assert seen and cut and await page.text_content("#attention-more") == f"and {cut} more"
    assert await page.evaluate(INSIDE)
    with real.spool.database.write() as tx:
        tx.execute("UPDATE target_state SET paused = 0")
    await page.set_viewport_size({"width": 1280, "height": 1600})
    await page.wait_for_selector("#attention-more", state="hidden")


INSIDE = """() => {
  const edge = (selector) => document.querySelector(selector).getBoundingClientRect();
  const shown = [...document.querySelectorAll('#attention [data-key]:not(.cut), #attention-more')];
  return shown.every((one) => one.getBoundingClientRect().bottom <= edge('.wall-attention').bottom + 1)
    && edge('.wall-targets table').right <= edge('.wall-targets').right;
}"""


async def test_labels_of_versions_in_the_chart_do_not_lie_on_each_other_or_on_the_axis(page, real):
    for _ in range(3):
        real.publish()
    await page.add_init_script(TEXTS)
    await page.goto("/")
    await page.wait_for_function("() => window.drawn.some((one) => one.text.startsWith('version'))")
    plot = await page.evaluate("document.querySelector('#charts .u-over').offsetLeft * devicePixelRatio")
    drawn = [one for one in await page.evaluate("window.drawn") if one["text"].startswith("version")]
    assert {one["align"] for one in drawn} == {"left"} and min(one["x"] for one in drawn) >= plot
    assert len({one["text"] for one in drawn}) == 1, "there is no room for another one of the same second"


TEXTS = """
window.drawn = [];
const fill = CanvasRenderingContext2D.prototype.fillText;
CanvasRenderingContext2D.prototype.fillText = function (text, x, ...more) {
  window.drawn.push({ text: String(text), x, align: this.textAlign });
  return fill.call(this, text, x, ...more);
};
"""


async def test_a_form_that_was_filled_in_when_the_session_ended_is_not_lost(page, real):
    form = await page.context.new_page()  # one whose console may tell of the 401
    await form.goto("/sources/new")
    await form.fill("[name=name]", "mr7")
    await form.fill("[name=calling_ae]", "MR7")
    await page.context.clear_cookies()
    await form.press("[name=calling_ae]", "Enter")
    async with page.context.expect_page() as opened:
        await form.click("main a:has-text('Log in')")
    tab = await opened.value
    await tab.fill("[name=name]", "ann")
    await tab.fill("[name=password]", PASSWORD)
    await tab.click("button.primary")
    await tab.wait_for_url("**/sources/new")
    await form.reload()
    await form.wait_for_url("**/sources")
    assert real.versions.current().configuration.sources["mr7"].calling_ae == "MR7"

"""One real browser: log in, see figures move over /ws, switch colours, stay within 360 pixels, stay safe."""

import asyncio
import os
import shutil
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from aiohttp import web
from webgui_fakes import PASSWORD

from protocol.accounts import Preferences
from webgui import live

playwright = pytest.importorskip("playwright.async_api", reason="playwright is not installed (extra: test)")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium: apt install chromium"),
]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
EVIL = "<img src=x onerror=\"document.title='owned'\">"


@pytest.fixture
async def site(app, people):
    """Address of the application on a port of its own."""
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        socket = web.TCPSite(runner, "127.0.0.1", 0)
        await socket.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture
async def page(site):
    """A logged-in page; anything on its console is an error."""
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = await browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme="light")
        page = await context.new_page()
        page.set_default_timeout(20_000)
        complaints = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto(site)
        await page.fill("[name=name]", "ann")
        await page.fill("[name=password]", PASSWORD)
        await page.click("button.primary")
        await page.wait_for_selector("#live[data-state=ok]")
        yield page
        await browser.close()
        assert complaints == []


async def has_text(page, selector, text):
    await page.wait_for_function(
        "([selector, text]) => document.querySelector(selector)?.textContent.includes(text)", arg=[selector, text]
    )


async def background(page):
    return await page.evaluate("getComputedStyle(document.body).backgroundColor")


async def test_the_dashboard_lives_in_a_real_browser(page, node, people):
    await figures_move(page, node)
    await the_chart_tells_the_time_of_who_looks(page, people)
    await news_is_told_wherever_one_is(page, node)
    await hostile_text_stays_text(page, node)
    await rows_do_not_move_under_the_pointer(page, node)
    await colours_follow_system_and_button(page)
    await nothing_sticks_out_on_a_phone(page)
    await a_socket_that_says_nothing_is_called_stale(page)
    await without_a_websocket_the_page_is_fetched_again(page, node)


async def figures_move(page, node):
    await has_text(page, "#announce", "all is well")
    await has_text(page, "[data-topic=kpi] [data-key=waiting] [data-f=value]", "4")
    node.document["deliveries"]["waiting"] = 40
    await has_text(page, "[data-topic=kpi] [data-key=waiting] [data-f=value]", "41")
    node.document["targets"]["pacs"] |= {"state": "failing", "fails": 3, "last_error": "refused"}
    await has_text(page, "[data-topic=targets] [data-key=pacs]", "down")
    await has_text(page, "[data-topic=attention]", "Target pacs is down")
    node.document["targets"]["pacs"] |= {"state": "up", "fails": 0, "last_error": ""}
    await has_text(page, "[data-topic=summary]", "all is well")
    node.document["images"]["received"] += 500
    await page.wait_for_function(
        "() => document.querySelector('[data-topic=kpi] [data-key=in] [data-f=value]').textContent !== '0'"
    )
    assert await page.locator("#charts canvas").count() == 2
    await page.click("a[data-range='8h']")
    assert page.url.endswith("/?range=8h")


async def the_chart_tells_the_time_of_who_looks(page, people):
    """Under the cursor stands the newest moment, in the zone that the user has chosen: not the browser's."""
    for name in ("Etc/GMT-9", "Etc/GMT+9"):
        people.set_preferences("ann", Preferences(time_zone=name))
        await page.reload()
        await page.wait_for_selector("#charts canvas")
        told = page.locator("#charts figure .chart-top").first
        box = await page.locator("#charts figure .u-over").first.bounding_box()
        await page.mouse.move(box["x"] + box["width"] - 3, box["y"] + 20)
        await page.wait_for_function(
            "() => /^\\d\\d:\\d\\d/.test(document.querySelector('#charts .chart-top').textContent)"
        )
        hour, minute = (int(part) for part in (await told.text_content()).split(":")[:2])
        now = datetime.now(ZoneInfo(name))
        ago = (now.hour * 60 + now.minute - hour * 60 - minute) % 1440
        assert min(ago, 1440 - ago) < 120, (name, hour, minute)
    people.set_preferences("ann", Preferences())
    await page.mouse.move(0, 0)
    await page.reload()
    await page.wait_for_selector("#live[data-state=ok]")


async def news_is_told_wherever_one_is(page, node):
    node.toasts = [{"id": 1, "sev": "bad", "text": f"ai7 does not answer {EVIL}", "href": "/nowhere"}]
    await has_text(page, "#toasts", f"ai7 does not answer {EVIL}")
    assert await page.locator("#toasts img").count() == 0
    await page.click("#toasts button")
    assert await page.locator("#toasts .toast").count() == 0


async def hostile_text_stays_text(page, node):
    node.arrivals.insert(0, dict(node.arrivals[0], id=8, opened=1_800_000_100.0, source=EVIL, modality=EVIL))
    node.document["targets"][EVIL] = {"state": "up", "last_error": EVIL}
    await has_text(page, "[data-topic=arrivals] [data-key='8'] [data-f=source]", EVIL)
    await has_text(page, "[data-topic=targets]", EVIL)
    await page.reload()
    await page.wait_for_selector("#live[data-state=ok]")
    await has_text(page, "[data-topic=arrivals] [data-key='8'] [data-f=source]", EVIL)
    assert await page.locator("main img").count() == 0
    assert "owned" not in await page.title()


async def rows_do_not_move_under_the_pointer(page, node):
    await page.hover("[data-topic=arrivals] [data-key='7']")
    node.arrivals.insert(0, dict(node.arrivals[0], id=9, opened=1_800_000_200.0, source="US3"))
    await has_text(page, "#show-new", "1 new")
    assert await page.locator("[data-topic=arrivals] [data-key='9']").count() == 0
    await page.click("#show-new")
    await page.wait_for_selector("[data-topic=arrivals] tr:first-child[data-key='9']")


async def colours_follow_system_and_button(page):
    light = await background(page)
    await page.emulate_media(color_scheme="dark")
    dark = await background(page)
    assert light != dark
    await page.click("#theme")
    assert await background(page) == light
    await page.reload()
    assert await background(page) == light
    await page.click("#theme")
    assert await background(page) == dark


async def nothing_sticks_out_on_a_phone(page):
    await page.set_viewport_size({"width": 360, "height": 740})
    await page.wait_for_function(
        "() => document.documentElement.scrollWidth <= 360", timeout=30_000
    )  # charts follow a moment later
    assert await page.locator("[data-topic=kpi] [data-key=waiting] [data-f=value]").is_visible()
    # before anything came over the websocket, with a long name
    widths = await page.evaluate("""() => {
      const badge = document.getElementById('live');
      [badge.dataset.state, badge.lastElementChild.textContent] = ['off', 'figures of 23:59:59'];
      document.querySelector('.user-name').textContent = 'a-name-that-is-long-for-a-phone';
      const widths = [...document.querySelectorAll('.bar-end button')].map((one) => one.getBoundingClientRect().width);
      return [...widths, document.documentElement.scrollWidth <= 360];
    }""")
    assert widths == [34, 34, 34, True]


async def another(page, answer):
    """A page of its own whose clock stands unless we turn it, and whose websocket we answer."""
    other = await page.context.new_page()
    await other.clock.install(time=0)
    await other.clock.pause_at(1)
    await other.route_web_socket("**/ws", answer)
    await other.goto(page.url)
    return other


async def a_socket_that_says_nothing_is_called_stale(page):
    other = await another(page, lambda socket: None)
    await other.clock.run_for(4_000)
    assert await other.get_attribute("#live", "data-state") != "bad"
    await other.clock.run_for(3_000)
    await other.wait_for_selector("#live[data-state=bad]")
    await other.close()


async def without_a_websocket_the_page_is_fetched_again(page, node):
    """A proxy lets none through: every ten seconds plain fetching brings what came live otherwise, and the badge says so."""
    other = await another(page, lambda socket: socket.close())
    node.document["deliveries"]["waiting"] = 70
    async with asyncio.timeout(60):
        while await other.get_attribute("#live", "data-state") != "off" or not await shows(other, "71"):
            await other.clock.run_for(10_100)
    await has_text(other, "#live", "figures of")
    await other.close()


async def shows(page, waiting):
    return await page.text_content("[data-topic=kpi] [data-key=waiting] [data-f=value]") == waiting


REMEMBER = """() => {
  const live = document.querySelector('#live');
  window.told = [];
  new MutationObserver(() => window.told.push(`${live.dataset.state} ${live.textContent}`))
    .observe(live, { attributes: true, childList: true, characterData: true, subtree: true });
}"""


async def test_a_lost_connection_is_shown_and_mended_and_an_ended_session_leads_to_the_log_in(page, app, accounts):
    await page.wait_for_selector("#live[data-state=ok]")
    await page.evaluate(REMEMBER)  # it is over within a second: whoever looks may come too late
    await live.close_all(app)
    await page.wait_for_function("() => window.told.some((one) => one.startsWith('bad') && one.includes('figures of'))")
    await page.wait_for_selector("#live[data-state=ok]")
    accounts.add_user("eve", "admin", PASSWORD)
    accounts.disable("ann")
    # Whatever notices first leads there, and a second one may break that off: not a question for one navigation.
    await page.wait_for_selector("[name=password]")
    assert "/login" in page.url

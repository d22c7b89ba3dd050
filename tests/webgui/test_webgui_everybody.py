"""Every page in a real browser: axe-core finds no violation, the console stays empty, nothing scrolls sideways; in both
themes and at three widths. Pages of every area are found by walking the table.
"""

import asyncio
import os
import shutil
import traceback
import warnings
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web
from walking import AE, EVIL, EvilImage, filled, parameters, table
from webgui_fakes import PASSWORD

from protocol.testing.images import TestImage

playwright = pytest.importorskip("playwright.async_api", reason="playwright is not installed (extra: test)")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
AXE = (Path(__file__).parent / "vendor" / "axe.js").read_text()
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# What an accessibility rule cannot know: our own wish is stricter, or the page is what it is.
OFF = {"region": {"enabled": False}}
EXPECTED = {404: ["/nothing-here", "/quarantine/1", "/rules/backtests/all"], 410: ["/reset", "/setup"]}
PAGES_AT_ONCE = 2
HUNG_S = 45  # a page takes one or two
FOLLOWS_S = 10  # a chart follows the width of its page a moment later

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium: apt install chromium"),
]

# What stands or falls with the width: colours behind each other, sizes, and names and headings of which a part is hidden.
OF_WIDTH = [
    "color-contrast", "link-in-text-block", "target-size", "scrollable-region-focusable", "aria-hidden-focus", "skip-link",
    "button-name", "link-name", "input-button-name", "label", "select-name", "aria-command-name", "aria-input-field-name",
    "aria-toggle-field-name", "page-has-heading-one", "heading-order", "empty-heading", "empty-table-header", "landmark-one-main",
]  # fmt: skip
LOOK = """async ([tags, off, only, fresh]) => {
  const visible = new Set([...document.body.querySelectorAll('*')].filter((one) => one.checkVisibility({ visibilityProperty: true })));
  const before = window.seen;
  window.seen = visible;
  const include = [...visible].filter((one) => !before?.has(one) && !(!before?.has(one.parentElement) && visible.has(one.parentElement)));
  if (fresh && !include.length) return [];
  const options = only ? { runOnly: { type: 'rule', values: only } } : { runOnly: { type: 'tag', values: tags }, rules: off };
  const found = await axe.run(fresh ? { include } : document, { ...options, resultTypes: ['violations'] });
  return found.violations.map((one) => `${one.id}: ${one.help} | ` + one.nodes.slice(0, 3).map((node) => node.target.join(' ')
    + ' ' + (node.any[0]?.message || node.all[0]?.message || node.none[0]?.message || '')).join(' ; '));
}"""
SIDEWAYS = """() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return '';
  const over = [...document.body.querySelectorAll('*')].filter((one) => one.getBoundingClientRect().right > width + 1
    && !one.closest('.scroll, pre, .sr'));
  return `scrolls sideways: ${document.documentElement.scrollWidth} > ${width} ` + over.slice(-3).map((one) => one.outerHTML.slice(0, 120));
}"""


@pytest.fixture
async def site(real, real_app, people):
    """Address, a filled node, and the paths of all pages."""
    real.publish(groups={"ai": {"mode": "balance", "members": ["pacs"]}}, sources={"ct1": {"calling_ae": "CT1"}})
    usual = parameters(real, real.arrival(TestImage(), TestImage(instance=2)))
    evil = parameters(real, real.arrival(EvilImage(study=2), calling_ae=AE), f"={EVIL}")
    real.record()
    people.tokens.create("ann", "nightly report", ["operate", "phi"])
    people.record("eve", "10.0.0.7", "rules publish", "routing version 2", {"rules": ["a"]}, {"rules": ["a", EVIL]})
    link = people.links.make("vera")
    runner = web.AppRunner(real_app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        paths = [filled(route.path, usual) for route in table(real_app) if is_page(route)]
        paths += [filled(path, evil) for path in ("/series/{id}", "/studies/{uid}", "/patients/{key}")]
        yield (
            f"http://127.0.0.1:{runner.addresses[0][1]}",
            [*dict.fromkeys(paths), "/nothing-here"],
            f"/reset?token={link}",
        )
    finally:
        await runner.cleanup()


def is_page(route):
    """Whether a browser shows it; files are found out when they come."""
    return route.method == "GET" and not route.in_api and route.path not in ("/ws", "/healthz", "/readyz", "/metrics")


async def problems_of(page, url, told):
    """What is wrong with one page; `told` is what its console says. Each thing is looked for where it can differ: all rules
    once, in light; what depends on the width, and whatever only a narrow page shows, in dark and narrow; and the contrast of
    what a narrow page hides in dark and wide.
    """
    await page.set_viewport_size({"width": 1280, "height": 800})
    told.clear()
    answer = await page.goto(url)
    if "text/html" not in answer.headers.get("content-type", ""):
        return []
    # What the node of this test has none of, and what is there for nobody.
    if any(url.partition("?")[0].endswith(path) for path in EXPECTED.get(answer.status, ())):
        told.clear()  # the browser itself writes such an answer to its console
    elif answer.status != 200:
        told.append(f"status {answer.status}")
    await page.evaluate("document.documentElement.dataset.theme = 'light'")
    found = [f"1280 light: {one}" for one in await page.evaluate(LOOK, [TAGS, OFF, None, False])]
    found += await sideways(page, 1280)
    await page.set_viewport_size({"width": 360, "height": 800})
    await page.evaluate("document.documentElement.dataset.theme = 'dark'")
    found += await sideways(page, 360)
    found += [f"360 dark, new: {one}" for one in await page.evaluate(LOOK, [TAGS, OFF, None, True])]
    found += [f"360 dark: {one}" for one in await page.evaluate(LOOK, [TAGS, OFF, OF_WIDTH, False])]
    await page.set_viewport_size({"width": 1920, "height": 800})
    found += await sideways(page, 1920)
    found += [f"1920 dark, new: {one}" for one in await page.evaluate(LOOK, [TAGS, OFF, ["color-contrast"], True])]
    return [*told, *found]


async def sideways(page, width):
    """Whether it scrolls sideways, and not only until its charts have followed the width."""
    if not await page.evaluate(SIDEWAYS):
        return []
    try:
        await page.wait_for_function(f"() => !({SIDEWAYS})()", timeout=1000 * FOLLOWS_S)
    except playwright.TimeoutError:
        return [f"{width}: {await page.evaluate(SIDEWAYS)}"]
    return []


async def new_page(context, told):
    page = await context.new_page()
    page.set_default_timeout(30_000)
    page.on("console", lambda message: told.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: told.append(f"console: {error}"))
    await page.add_init_script(AXE)
    return page


async def fresh(driver, *, state=None, answer=None):
    """A visitor in a browser of its own, who is logged in by `state`; with `answer` nothing comes from the network."""
    browser = await driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
    context = await browser.new_context(color_scheme="light", storage_state=state)
    if answer:
        await context.route("**/*", answer)
    return context


async def walk(visitor, home, paths):
    """Problems by path, looked for in a few pages at a time; `visitor` opens a browser (it ends with its driver)."""
    found, left, hung = {}, list(reversed(paths)), []
    context = await visitor()

    async def work():
        nonlocal context
        told = []
        page = await new_page(context, told)
        while left:
            path = left.pop()
            try:
                async with asyncio.timeout(HUNG_S):
                    if problems := await problems_of(page, home + path, told):
                        found[path] = problems
            except playwright.Error as exc:
                if "Download is starting" not in str(exc):
                    found[path] = [str(exc)]
            except TimeoutError as exc:
                # Seen now and then, at pages that nobody knows, with all of the browser: in a new one they have to answer.
                warnings.warn(f"{path} answered nothing for {HUNG_S} s: {last_line(exc.__cause__)}", stacklevel=1)
                if path in hung:
                    found[path] = ["answers nothing"]
                else:
                    left.append(path)
                hung.append(path)
                context = await visitor()
                page = await new_page(context, told)

    await asyncio.gather(*(work() for _ in range(PAGES_AT_ONCE)))
    return found


def last_line(exc):
    """Of this file, where it was raised."""
    return next(one.line for one in reversed(traceback.extract_tb(exc.__traceback__)) if one.filename == __file__)


async def test_every_page_can_be_used_by_everybody(site):
    home, paths, link = site
    async with playwright.async_playwright() as driver:
        found = await walk(partial(fresh, driver), home, ["/login", link, "/reset?token=old", "/setup"])
        context = await fresh(driver)
        page = await context.new_page()
        await page.goto(f"{home}/login")
        await page.fill("[name=name]", "ann")
        await page.fill("[name=password]", PASSWORD)
        await page.click("button.primary")
        await page.wait_for_url(lambda url: "/login" not in url)
        await page.close()
        found |= await walk(partial(fresh, driver, state=await context.storage_state()), home, paths)
    lines = [f"{path}\n    " + "\n    ".join(told) for path, told in found.items() if told]
    assert not lines, "\n" + "\n".join(lines)
    assert len(paths) > 8


FLAWED = """<!doctype html><html lang="en"><title>Flawed</title><style>
  body { background: #fff; color: #000 }
  [data-theme=dark] body { background: #000; color: #fff }
  #light { color: #ddd } [data-theme=dark] #light { color: #fff }
  #dark, #wide { color: #000 } [data-theme=dark] #dark, [data-theme=dark] #wide { color: #222 }
  #narrow { display: none }
  @media (max-width: 500px) { #narrow { display: inline } #wide, .text { display: none } #tight { min-width: 600px } }
</style><main><h1>Flawed</h1><p id="light">light</p><p id="dark">dark</p><p id="wide">wide</p>
<img id="image" src="data:,"><a id="narrow" href="/" aria-level="x">narrow</a>
<button id="text"><span class="text">words</span></button><div id="tight">tight</div></main></html>"""


async def test_what_only_one_width_or_theme_shows_is_found(monkeypatch):
    """The test of the test."""

    async def answer(route):
        await route.fulfill(body=FLAWED, content_type="text/html")

    monkeypatch.setattr("test_webgui_everybody.FOLLOWS_S", 1)
    async with playwright.async_playwright() as driver:
        found = await walk(partial(fresh, driver, answer=answer), "http://localhost", ["/flawed"])
    lines = {tuple(line.split(": ", 2)[:2]): line for line in found["/flawed"]}
    expected = {
        ("1280 light", "color-contrast"): "#light", ("1280 light", "image-alt"): "#image",
        ("360 dark, new", "aria-allowed-attr"): "#narrow", ("360 dark", "color-contrast"): "#dark",
        ("360 dark", "button-name"): "#text", ("1920 dark, new", "color-contrast"): "#wide",
    }  # fmt: skip
    for place, element in expected.items():
        assert place in lines and element in lines[place], (place, list(lines.values()))
    assert any(line.startswith("360: scrolls sideways") for line in lines.values())


HUNG = "<!doctype html><html lang='en'><title>Hung</title><h1>Hung</h1><script>axe.run = () => new Promise(() => 0)</script></html>"


@pytest.mark.filterwarnings("ignore:/hung answered nothing")
async def test_a_page_that_answers_nothing_is_found_and_holds_nobody_up(monkeypatch):
    """The test of the test."""

    async def answer(route):
        body = HUNG if route.request.url.endswith("/hung") else FLAWED
        await route.fulfill(body=body, content_type="text/html")

    monkeypatch.setattr("test_webgui_everybody.HUNG_S", 15)
    monkeypatch.setattr("test_webgui_everybody.FOLLOWS_S", 1)
    async with playwright.async_playwright() as driver:
        found = await walk(partial(fresh, driver, answer=answer), "http://localhost", ["/hung", "/flawed"])
    assert found["/hung"] == ["answers nothing"] and len(found["/flawed"]) > 5

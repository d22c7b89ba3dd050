"""The first five minutes of a first-time operator, in a real browser before a real node: nothing happens outside the browser
but what scanner and target do. Then the same page survives restarts of what serves it.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator

import pytest

from tests.network.evidence import part10, series
from tests.network.system import Node, wait_until
from tests.peers import StoreScp, echoscu, needs_dcmtk, storescu

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra: test)")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]

pytestmark = [
    needs_dcmtk,
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium: apt install chromium"),
]

PASSWORD = "a sentence that is long enough"


@pytest.fixture(scope="module")
def node(tmp_path_factory) -> Iterator[Node]:
    with Node(tmp_path_factory.mktemp("five") / "home") as made:
        yield made


@pytest.fixture(scope="module")
def page(node) -> Iterator[playwright.Page]:
    """One page for all of it. What the browser complains of is an error, but for connections lost in restarts."""
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = browser.new_context(viewport={"width": 1280, "height": 900}, base_url=f"http://127.0.0.1:{node.web}")
        page = context.new_page()
        page.set_default_timeout(30_000)
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        yield page
        browser.close()
    assert [one for one in complaints if "ERR_CONNECTION_REFUSED" not in one and "WebSocket" not in one] == []


@pytest.fixture(scope="module")
def pacs(tmp_path_factory) -> Iterator[list[StoreScp]]:
    """The target, in a list: it is stopped and started again."""
    running = [StoreScp(tmp_path_factory.mktemp("pacs"))]
    yield running
    running[0].stop()


def set_up_link(node: Node) -> str:
    return next(found[0] for line in node.lines if (found := re.search(r"http\S+/setup\?token=\S+", line)))


def menu(page: playwright.Page, *names: str) -> None:
    for name in names:
        page.click(f"nav.menu >> text='{name}'")


def guide(page: playwright.Page) -> None:
    menu(page, "More", "First steps")
    page.wait_for_selector("h1:has-text('five minutes')")


def answer(page: playwright.Page, why: str = "") -> None:
    """Say yes in the dialog."""
    page.wait_for_selector("dialog[open]")
    if why:
        page.fill("dialog input", why)
    page.click("dialog button.primary")


def test_a_first_time_operator_reaches_a_working_route(page, node, pacs) -> None:
    an_admin_is_made(page, node)
    a_scanner_is_heard(page, node)
    a_target_is_added_and_tested(page, pacs[0])
    a_test_study_is_watched_on_its_way(page, pacs[0])
    a_rule_is_made_of_it(page)
    it_stands_in_the_audit_and_is_rolled_back(page)
    a_failure_is_seen_and_retried(page, pacs)


def an_admin_is_made(page, node) -> None:
    page.goto(set_up_link(node))
    page.fill("[name=name]", "ann")
    page.fill("[name=password]", PASSWORD)
    page.fill("[name=again]", PASSWORD)
    page.click("button.primary")
    page.wait_for_selector("#live[data-state=ok]")


def a_scanner_is_heard(page, node) -> None:
    guide = page.locator("#steps")
    assert str(node.port) in guide.text_content() and "SCANPOST" in guide.text_content()
    page.wait_for_selector("text=listening")
    echoscu(node.port, options=("-aet", "MR1"))
    page.wait_for_selector("text=somebody called")
    page.wait_for_selector("#steps >> text=MR1")


def a_target_is_added_and_tested(page, pacs) -> None:
    page.click("text=DICOM node")
    page.fill("[name=name]", "pacs")
    page.fill("[name=host]", "127.0.0.1")
    page.fill("[name=port]", str(pacs.port))
    page.fill("[name=called_ae]", "PACS")
    page.click("text=Add target")
    page.wait_for_selector(".flash.ok")
    page.click("text='Test'")
    page.wait_for_selector("#ladder-said >> text=all good")
    assert page.locator("#rungs li").count() >= 4 and "C-ECHO" in page.locator("#rungs").text_content()


def a_test_study_is_watched_on_its_way(page, pacs) -> None:
    page.click(".hint >> text=First steps")
    page.click("button:has-text('Send a test study')")
    for stage in ("Received", "no rule wants it", "sent on all the same", "to pacs"):
        page.wait_for_selector(f".way >> text={stage}")
    page.wait_for_selector(".way [data-level=ok] strong:text-is('Sent')")
    assert f"{len(pacs.received())} images" in page.text_content(".way")


def a_rule_is_made_of_it(page) -> None:
    page.click("text=Make a rule from that series")
    page.wait_for_selector(".brow .bfield")
    page.locator(".brow").last.locator(".btest").select_option("!=")
    page.wait_for_function("() => document.querySelector('#when').value.includes('!=')")
    page.locator(".brow").last.locator(".btest").select_option("==")
    page.fill("[name=name]", "to-pacs")
    page.check("[name=targets][value=pacs]")
    page.click("button[formaction='/rules/backtest']")
    page.wait_for_selector(".numbers >> text=of 1 series match (100.0 %)")
    page.click(".crumbs >> text=to-pacs")
    page.wait_for_selector("text=1 of 1 series")
    page.click("button[value=activate]")
    page.wait_for_selector(".flash")


def it_stands_in_the_audit_and_is_rolled_back(page) -> None:
    menu(page, "More", "Audit")
    page.wait_for_selector("tr >> text=to-pacs")
    menu(page, "More", "Configuration")
    page.click("tbody tr:nth-child(2) a.row-link")
    page.click("text=Roll back to this")
    answer(page, "only trying")
    page.wait_for_selector(".flash.ok")
    menu(page, "Rules")
    assert page.locator("text=to-pacs").count() == 0


def a_failure_is_seen_and_retried(page, pacs) -> None:
    port, folder, before = pacs[0].port, pacs[0].folder, len(pacs[0].received())
    pacs[0].stop()
    guide(page)
    page.click("button:has-text('Send it again')")
    page.wait_for_selector(".way >> text=did not get through")
    menu(page, "Queue")
    page.wait_for_selector(".failures >> text=pacs")
    pacs[0] = StoreScp(folder, port)
    page.click("text=Retry this")
    answer(page)
    page.wait_for_selector(".empty")
    wait_until(lambda: len(pacs[0].received()) == 2 * before, 60, "the retried series is there")


def test_an_open_page_survives_what_is_done_to_the_programs_from_the_page(page, node, tmp_path) -> None:
    """1 dispatchers are added, stopped and started; 2 bus and router are restarted, 3 the web page itself: figures go on in a
    page that was open all the time."""
    open_page = page.context.new_page()
    open_page.goto("/")
    open_page.evaluate("window.never_loaded_again = true")
    menu(page, "System")
    a_self_test_is_good(page, node)
    dispatchers_come_and_go(page)
    for program in ("bus", "router"):
        act_on(page, program, "Restart")
        page.wait_for_selector(".flash.ok >> text=was restarted")
    live_figures_move(open_page, node, tmp_path, study=70)
    act_on(page, "webgui", "Restart")
    open_page.wait_for_selector("#live[data-state=bad] >> text=figures of")
    open_page.wait_for_selector("#live[data-state=ok]")
    live_figures_move(open_page, node, tmp_path, study=71)
    assert open_page.evaluate("window.never_loaded_again") is True
    page.wait_for_selector("#live[data-state=ok]")
    page.wait_for_selector("#programs-card >> text=webgui")
    open_page.close()


def row_of(page: playwright.Page, program: str) -> playwright.Locator:
    return page.locator("#programs-card tbody tr", has=page.locator(f"th:has-text('{program}')"))


def act_on(page: playwright.Page, program: str, act: str) -> None:
    row_of(page, program).locator(f"button:text-is('{act}')").click()
    answer(page)


def a_self_test_is_good(page, node) -> None:
    page.click("button:has-text('Run the self-test')")
    page.wait_for_selector("#ladder-said >> text=all good")
    titles = page.locator("#rungs strong").all_text_contents()
    assert titles == ["Announced", "Received", "Complete", "Decided", "Sent", "Cleared away"]
    assert node.status()["images"]["deleted"] == 5


def dispatchers_come_and_go(page) -> None:
    page.fill("#dispatcher-number", "2")
    page.click("#programs-card button:has-text('Set')")
    page.wait_for_selector(".flash >> text=2 dispatchers run")
    row_of(page, "dispatcher-1").locator("text=ready").wait_for()
    act_on(page, "dispatcher-1", "Stop")
    row_of(page, "dispatcher_01").locator("text=stopped").wait_for()
    row_of(page, "dispatcher_01").locator("button:text-is('Start')").click()
    row_of(page, "dispatcher-1").locator("text=ready").wait_for()


def live_figures_move(page, node, folder, study: int) -> None:
    """DCMTK sends a series; the dashboard shows it without being loaded again."""
    before = int(page.text_content("[data-topic=images] [data-key=received] strong").replace("\u202f", ""))
    files = []
    for image in series(study, 3):
        files.append(folder / f"{image.sop_uid}.dcm")
        files[-1].write_bytes(part10(image))
    assert storescu(node.port, files, calling=f"LIVE{study}").returncode == 0
    page.wait_for_selector(f"[data-topic=arrivals] tr >> text=LIVE{study}")
    page.wait_for_function(
        "(wanted) => document.querySelector('[data-topic=images] [data-key=received] strong').textContent === wanted",
        arg=str(before + 3),
    )

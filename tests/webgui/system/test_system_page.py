"""The page of the system: programs through the process manager, draining, cleaning, versions, the support bundle."""

import io
import json
import re
import zipfile

import pytest
from webgui_fakes import HOME, PAGE

from protocol.errors import ScanpostError
from protocol.programs import NotRunning, Program
from protocol.wire.events import ActorStarted
from webgui.areas.system import acts, looks

PATIENT = "MUELLER^EVA"


class Manager:
    """A process manager that remembers what it was told."""

    def __init__(self):
        self.states = {"router:router": "RUNNING", "webgui:webgui": "RUNNING"}
        self.states |= {f"dispatcher:dispatcher_0{n}": "RUNNING" if n < 2 else "STOPPED" for n in range(8)}
        self.told, self.away = [], False

    def programs(self):
        if self.away:
            raise NotRunning("supervisord does not answer")
        return [Program(name, name.split(":")[0], state, 0, 5, "") for name, state in self.states.items()]

    def start(self, name):
        self.told.append(("start", name))

    def stop(self, name):
        self.told.append(("stop", name))


@pytest.fixture
def programs(monkeypatch):
    made = Manager()
    monkeypatch.setattr(acts, "manager", lambda settings: made)
    monkeypatch.setattr(looks, "manager", lambda settings: made)
    return made


async def page_of(client):
    answer = await client.get("/system", headers=PAGE)
    assert answer.status == 200, await answer.text()
    return await answer.text()


async def test_programs_disk_database_and_licences_stand_there(programs, real_admin):
    page = await page_of(real_admin)
    for word in ("router", "dispatcher_01", "Support bundle", "aiohttp", "uplot", "Apache", "may go now"):
        assert word in page, word
    assert "dispatcher_05" not in page  # a slot that nobody wants is no program that is down


async def test_a_dispatcher_that_was_stopped_can_be_started_again(programs, real_admin):
    programs.states["dispatcher:dispatcher_00"] = "STOPPED"
    rows = (await (await real_admin.get("/api/v1/system")).json())["rows"]
    states = {row["name"]: (row["state"], row["stoppable"]) for row in rows if row["program"].startswith("dispatcher")}
    assert states["dispatcher_00"] == ("stopped", True) and "dispatcher_02" not in states
    assert 'value="dispatcher:dispatcher_00"' in await page_of(real_admin)


def test_an_actor_whose_process_is_gone_is_no_row_of_its_own(programs):
    gone = {"dispatcher-1": {"state": "ready", "pid": 2**22 + 5, "uptime_s": 4.0, "version": "1"}}
    names = [row["name"] for row in looks.rows(gone, programs.programs(), 0.0)]
    assert names == ["router", "dispatcher_00", "dispatcher_01", "webgui"]  # in the order of their work


async def test_how_often_programs_were_started_is_known_from_the_ledger(programs, real, real_admin):
    for pid in (1, 2):
        real.spool.outbox.record(ActorStarted("router", pid, "1", "boot"))
    real.record()
    assert (await (await real_admin.get("/api/v1/system")).json())["starts"]["router"] == 2


async def test_without_a_process_manager_the_page_says_so(programs, real_admin):
    programs.away = True
    assert "cannot be started or stopped here" in await page_of(real_admin)
    body = {"program": "router:router", "act": "stop"}
    assert (await real_admin.post("/api/v1/system/program", json=body, headers=HOME)).status == 503


async def test_a_program_is_restarted_with_an_entry_in_the_audit(programs, real_admin, accounts):
    answer = await real_admin.post("/system/program", data={"program": "router:router", "act": "restart"}, headers=HOME)
    assert "was restarted" in await answer.text()
    assert programs.told == [("stop", "router:router"), ("start", "router:router")]
    entry = accounts.audit_trail()[0]
    assert (entry.who, entry.action, entry.object) == ("ann", "program.restart", "program/router:router")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"program": "webgui:webgui", "act": "stop"}, 409),
        ({"program": "rm -rf", "act": "stop"}, 404),
        ({"program": "router:router", "act": "kill"}, 422),
    ],
)
async def test_what_would_do_harm_is_refused(programs, real_admin, body, status):
    assert (await real_admin.post("/api/v1/system/program", json=body, headers=HOME)).status == status
    assert programs.told == []


async def test_the_number_of_dispatchers_is_changed_and_kept(programs, real, real_admin):
    real.settings.run_folder.mkdir(exist_ok=True)
    answer = await real_admin.post("/api/v1/system/dispatchers", json={"number": 3}, headers=HOME)
    assert (await answer.json())["number"] == 3
    assert [name for what, name in programs.told if what == "start"][-1] == "dispatcher:dispatcher_02"
    assert (await (await real_admin.get("/api/v1/system")).json())["dispatchers"] == 3
    assert (await real_admin.post("/api/v1/system/dispatchers", json={"number": 99}, headers=HOME)).status == 422


async def test_draining_and_back(programs, real, real_admin):
    real.answering()
    form = {"on": "true", "reason": "new disk"}
    page = await (await real_admin.post("/system/drain", data=form, headers=HOME)).text()
    assert real.spool.draining.state().reason == "new disk"
    assert 'action="/system/drain"' in page and "Undo" in page
    await real_admin.post("/system/drain", data={"on": "false"}, headers=HOME)
    assert real.spool.draining.state() is None


async def test_cleaning_is_asked_of_the_cleaner_and_needs_a_reason(programs, real, real_admin):
    assert (await real_admin.post("/api/v1/system/clean", json={"reason": " "}, headers=HOME)).status == 422
    assert (await real_admin.post("/api/v1/system/clean", json={"reason": "full"}, headers=HOME)).status == 202
    (command,) = real.spool.commands.pending("cleaner")
    assert (command.kind, command.reason) == ("clean.now", "full")


@pytest.fixture
def planted(real):
    """Patient data and secrets wherever a bundle could find them."""
    real.arrival()
    rules = {
        "name": "a",
        "when": f"PatientName == '{PATIENT}'",
        "action": "route",
        "targets": ["pacs"],
        "comment": PATIENT,
    }
    real.publish(rules)
    real.spool.notices.raise_alert("clock", f"the clock of {PATIENT}")
    log = real.settings.log_folder
    log.mkdir(parents=True, exist_ok=True)
    lines = [{"action": "x", "level": "error", "error": f"refused {PATIENT}", "text": PATIENT, "arrival": 7}]
    (log / "router.log").write_text("".join(json.dumps(one) + "\n" for one in lines) + f"Traceback {PATIENT}\n")
    return real


async def test_the_support_bundle_holds_no_patient_data(programs, planted, real_admin, accounts):
    answer = await real_admin.get("/system/bundle.zip")
    assert answer.status == 200 and "attachment" in answer.headers["Content-Disposition"]
    with zipfile.ZipFile(io.BytesIO(await answer.read())) as bundle:
        texts = {name: bundle.read(name).decode() for name in bundle.namelist()}
    whole = "\n".join(texts.values())
    assert {"README.txt", "status.json", "settings.json", "routing.json", "alerts.json", "checks.json",
            "versions.json", "logs/router.log"} == set(texts)  # fmt: skip
    for word in (PATIENT, "MUELLER", "Test^Image", "Test Image"):
        assert word not in whole, word
    assert json.loads(texts["logs/router.log"].splitlines()[0])["arrival"] == 7
    assert json.loads(texts["routing.json"])["rules"][0]["when"] == "PatientName == '…'"
    assert json.loads(texts["checks.json"])["images"] == []
    assert accounts.audit_trail()[0].action == "support.bundle"


async def test_lookers_on_see_and_change_nothing(programs, real_viewer):
    page = await page_of(real_viewer)
    assert "Support bundle" not in page and "/system/program" not in page
    assert (await real_viewer.get("/system/bundle.zip")).status == 403
    for path in ("program", "dispatchers", "drain", "clean", "debug"):
        assert (await real_viewer.post(f"/system/{path}", data={}, headers=HOME)).status == 403
    assert programs.told == []


def test_a_process_that_is_gone_is_no_error():
    assert looks.process(2**22 + 5, 0.0) is None
    assert looks.process(None, 0.0) is None
    assert issubclass(NotRunning, ScanpostError)


async def test_an_actor_logs_its_steps_for_15_minutes_or_until_somebody_ends_it(programs, real, real_admin, accounts):
    answer = await real_admin.post("/api/v1/system/debug", json={"actor": "router"}, headers=HOME)
    until = (await answer.json())["until"]
    [wish] = (await (await real_admin.get("/api/v1/system")).json())["debug"]
    assert (wish["actor"], wish["until"]) == ("router", until) and wish["by"]
    assert "15 more minutes" in await page_of(real_admin)
    page = await (await real_admin.post("/system/debug", data={"actor": "router", "on": "false"}, headers=HOME)).text()
    assert "logs as usual again" in page and "15 more minutes" not in page
    entry = accounts.audit_trail()[0]
    assert (entry.action, entry.object) == ("log.level", "actor/router")
    assert (await real_admin.post("/api/v1/system/debug", json={"actor": "cleaner"}, headers=HOME)).status == 422


async def test_the_undo_of_debug_lines_takes_back_what_was_asked_for_and_nothing_beside_it(programs, real, real_admin):
    async def post(data):
        """What the act's answer has as its undo, carried out if it is asked for; then what is logged."""
        return await (await real_admin.post("/system/debug", data={"actor": "receiver"} | data, headers=HOME)).text()

    async def undo(page):
        form = re.search(r'action="/system/debug">(.*?)</form>', page, re.S)[1]
        assert "Undo" in form
        return await post(dict(re.findall(r'name="(\w+)" value="(\w*)"', form)))

    async def logged():
        found = await (await real_admin.get("/api/v1/system")).json()
        return len(found["debug"]), (found["following"] or {"left": 0})["left"]

    await post({"on": "true"})
    page = await post({"on": "true", "associations": "10"})
    assert await logged() == (1, 10)
    await undo(page)
    assert await logged() == (1, 0)
    await post({"on": "true", "associations": "5"})
    await undo(await post({"on": "true", "associations": "10"}))
    assert await logged() == (1, 5)
    page = await post({"on": "true"})
    assert "icons.svg#undo" not in page, "the former end of the 15 minutes cannot be set again"
    await undo(await post({"on": "false"}))
    assert await logged() == (1, 5)
    await post({"on": "false"})
    assert await logged() == (0, 0)
    await post({"on": "true", "associations": "5"})
    await undo(await post({"on": "true"}))
    assert await logged() == (0, 5)


async def test_the_receiver_logs_the_next_associations_or_until_somebody_ends_it(programs, real, real_admin, accounts):
    assert "For 10 associations" in await page_of(real_admin)
    page = await (
        await real_admin.post(
            "/system/debug", data={"actor": "receiver", "on": "true", "associations": "10"}, headers=HOME
        )
    ).text()
    assert "The receiver logs the next 10 associations." in page and "the next 10 associations" in page
    entry = accounts.audit_trail()[0]
    assert (entry.action, entry.object, entry.after) == ("log.level", "actor/receiver", {"debug_associations": 10})
    document = await (await real_admin.get("/api/v1/system")).json()
    assert document["debug"] == [] and (document["following"]["left"], document["following"]["count"]) == (10, 10)
    await real_admin.post("/api/v1/system/debug", json={"actor": "receiver", "on": False}, headers=HOME)
    assert (await (await real_admin.get("/api/v1/system")).json())["following"] is None
    for odd in ({"actor": "router", "associations": 3}, {"actor": "receiver", "on": False, "associations": 3},
                {"actor": "receiver", "associations": 0}, {"actor": "router", "what": "associations", "on": False},
                {"actor": "receiver", "what": "both"}, {"actor": "receiver", "what": "steps", "associations": 3}):  # fmt: skip
        assert (await real_admin.post("/api/v1/system/debug", json=odd, headers=HOME)).status == 422

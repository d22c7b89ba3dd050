"""The self-test: its study goes nowhere but where it was to go, nothing of it stays, and nobody gets past the rules by its UID."""

import json
import sys

import pytest
from webgui_fakes import HOME, PAGE

from actors.cleaner.desk import Desk
from actors.dispatcher.limits import Limits
from protocol import selftest
from protocol.routing.versions import RoutingVersions
from protocol.testing.images import TestImage
from webgui.keys import SELF_TESTS

STUDY = f"{selftest.UID_ROOT}123456789012"


class OfTest(TestImage):
    """An image of the study of a self-test."""

    @property
    def study_uid(self):
        return STUDY


class Quiet:
    def info(self, *_, **__):
        pass

    error = warning = info


def announce(real, target="", study=STUDY):
    id = real.spool.commands.ask(selftest.BEGIN, "ann", {"study_uid": study, "target": target})
    real.route()
    return real.spool.commands.find(id)


def sent_to(real, arrival):
    return [row["target"] for row in real.spool.deliveries.of_arrival(arrival)]


def clear(real):
    id = real.spool.commands.ask(selftest.END, "ann", {"study_uid": STUDY, "told": "sent 0.10 s"}, executor="cleaner")
    Desk(real.spool, Quiet()).look()
    return real.spool.commands.find(id)


def deliver(real, target):
    limits = Limits(real.spool, real.versions, real.clock, 4)
    claim = real.spool.deliveries.claim(
        real.spool.workers.enter("dispatcher", "0").owner, limits.now(), real.clock.now()
    )
    assert claim.target == target and limits.configuration.targets[target] is not None and limits.serves(target)
    real.spool.deliveries.complete(claim)


def test_it_goes_to_the_sink_and_not_where_the_rules_say_and_nothing_of_it_stays(real):
    real.publish({"name": "all", "when": "True", "action": "route", "targets": ["pacs"]},
                 {"name": "each", "when": "True", "action": "route", "targets": ["pacs"], "trigger": "image"})  # fmt: skip
    assert "the built-in sink" in announce(real).answer
    arrival = real.arrival(OfTest(), OfTest(instance=2))
    assert sent_to(real, arrival) == [selftest.SINK]
    files = list(real.spool.places.images.rglob("*.dcm")) or [
        f for f in real.spool.places.images.rglob("*") if f.is_file()
    ]
    assert clear(real).state == "failed" and len(files) == 2  # it is still under way
    deliver(real, selftest.SINK)
    assert clear(real).answer == "sent 0.10 s; cleared away"
    assert real.spool.arrivals.get(arrival)["state"] == "deleted"
    assert [file for file in files if file.exists()] == []


def test_a_chosen_target_gets_it_and_one_that_is_not_there_is_refused(real):
    assert announce(real, "nowhere").state == "failed"
    assert announce(real, "pacs").state == "done"
    assert sent_to(real, real.arrival(OfTest())) == ["pacs"]
    assert "here already" in announce(real).answer


def test_a_study_with_such_a_uid_that_nobody_announced_follows_the_rules_and_is_not_cleared_away(real):
    arrival = real.arrival(OfTest())
    assert sent_to(real, arrival) == ["pacs"]
    assert "no self-test" in clear(real).answer
    assert announce(real, study="1.2.3").state == "failed"
    assert real.spool.arrivals.get(arrival)["state"] == "in_delivery"


@pytest.mark.parametrize("rest", ["1/../../../spool", "1\n", "../..", "", "1" * 64])
def test_what_is_no_uid_is_no_study_of_a_test_and_no_folder_of_it_is_removed(real, rest):
    beside = real.spool.places.run / selftest.SINK_FOLDER / "beside"
    beside.mkdir(parents=True)
    study = f"{selftest.UID_ROOT}{rest}"
    assert str(announce(real, study=study).state) == "failed"
    id = real.spool.commands.ask(selftest.END, "ann", {"study_uid": study}, "cleaner")
    Desk(real.spool, Quiet()).look()
    assert str(real.spool.commands.find(id).state) == "failed" and beside.is_dir()


def test_the_sink_is_in_no_configuration_that_people_see(real):
    limits = Limits(
        real.spool, RoutingVersions(real.spool.places.routing, real.versions._fs, real.clock), real.clock, 4
    )
    limits.now()
    assert selftest.SINK in limits.configuration.targets
    assert selftest.SINK not in real.versions.current().configuration.targets


STEPS = [{"name": "received", "title": "Received", "ok": True, "seconds": 0.0421, "text": "5 of 5 images by C-STORE"}]


async def test_it_is_started_and_watched_on_the_page_by_operators_only(real, real_app, real_admin, monkeypatch):
    result = {"ok": True, "steps": STEPS, "error": "", "target": "the built-in sink", "study_uid": STUDY, "arrival": 7}
    job = f"import sys; line = sys.stdin.readline(); print({json.dumps(json.dumps({'result': result}))})"
    monkeypatch.setattr(real_app[SELF_TESTS], "_command", (sys.executable, "-c", job))
    answer = await real_admin.post("/system/selftest", headers=HOME | PAGE, allow_redirects=False)
    where = answer.headers["Location"]
    assert answer.status == 303 and where.startswith("/system?selftest=")
    number = where.partition("=")[2].partition("#")[0]
    while (told := await (await real_admin.get(f"/api/v1/system/selftest/{number}")).json())["running"]:
        pass
    assert (told["ok"], told["arrival"], told["steps"]) == (True, 7, STEPS)
    page = await (await real_admin.get(where.partition("#")[0], headers=PAGE)).text()
    assert "5 of 5 images by C-STORE" in page and "42 ms" in page and "all good" in page
    refused = await real_admin.post("/api/v1/system/selftest", json={"target": "nowhere"}, headers=HOME)
    assert refused.status == 422


@pytest.mark.parametrize("path", ["/system/selftest", "/api/v1/system/selftest"])
async def test_lookers_on_start_none(real_viewer, path):
    assert (await real_viewer.post(path, json={}, headers=HOME)).status == 403

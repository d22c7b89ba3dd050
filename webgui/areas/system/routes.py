"""The addresses of the system. It must not hold behaviour."""

from __future__ import annotations

from webgui.areas.system import acts, pages, selftests
from webgui.areas.system.models import Clean, Debug, Dispatchers, Drain, ProgramAct, SelfTest
from webgui.areas.system.shapes import DebugDone, DispatchersDone, ProgramDone, SelfTestAnswer, SystemAnswer
from webgui.guards import Need
from webgui.route import Route
from webgui.shapes import ActAnswer, StartedAnswer

LOOK, ADMIN = Need.VIEWER, Need.ADMIN
TEST = "Send a synthetic study through the whole system; `GET` its id to see how far it is."
API = "/api/v1/system"

ROUTES = (
    Route("GET", "/system", pages.show, LOOK),
    Route("GET", "/system/bundle.zip", pages.support, ADMIN),
    Route("POST", "/system/program", acts.program, ADMIN),
    Route("POST", "/system/dispatchers", acts.scale, ADMIN),
    Route("POST", "/system/debug", acts.debug, ADMIN),
    Route("POST", "/system/drain", acts.drain, ADMIN),
    Route("POST", "/system/clean", acts.clean, ADMIN),
    Route("POST", "/system/selftest", selftests.start, Need.OPERATOR),
    Route("POST", f"{API}/selftest", selftests.start, Need.OPERATOR, TEST, body=SelfTest, answer=StartedAnswer),
    Route(
        "GET", f"{API}/selftest/{{id}}", selftests.look, LOOK, "How far a self-test of yours is.", answer=SelfTestAnswer
    ),
    Route(
        "GET", API, pages.api, LOOK, "Programs, disk, database, what would be cleaned, versions.", answer=SystemAnswer
    ),
    Route(
        "POST",
        f"{API}/program",
        acts.program,
        ADMIN,
        "Start, stop or restart a program.",
        body=ProgramAct,
        answer=ProgramDone,
    ),
    Route(
        "POST",
        f"{API}/dispatchers",
        acts.scale,
        ADMIN,
        "Have so many dispatchers run.",
        body=Dispatchers,
        answer=DispatchersDone,
    ),
    Route(
        "POST",
        f"{API}/debug",
        acts.debug,
        ADMIN,
        "Have an actor log its steps for 15 minutes, or the receiver the next associations, or end that now.",
        body=Debug,
        answer=DebugDone,
    ),
    Route(
        "POST",
        f"{API}/drain",
        acts.drain,
        ADMIN,
        "Refuse new images, or take them again.",
        body=Drain,
        answer=ActAnswer,
    ),
    Route("POST", f"{API}/clean", acts.clean, ADMIN, "Clean now, whatever the window.", body=Clean, answer=ActAnswer),
)

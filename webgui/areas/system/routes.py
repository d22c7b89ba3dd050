"""The addresses of the system. It must not hold behaviour."""

from __future__ import annotations

from webgui.areas.system import acts, pages
from webgui.areas.system.models import Clean, Dispatchers, Drain, ProgramAct
from webgui.areas.system.shapes import DispatchersDone, ProgramDone, SystemAnswer
from webgui.guards import Need
from webgui.route import Route
from webgui.shapes import ActAnswer

LOOK, ADMIN = Need.VIEWER, Need.ADMIN
API = "/api/v1/system"

ROUTES = (
    Route("GET", "/system", pages.show, LOOK),
    Route("GET", "/system/bundle.zip", pages.support, ADMIN),
    Route("POST", "/system/program", acts.program, ADMIN),
    Route("POST", "/system/dispatchers", acts.scale, ADMIN),
    Route("POST", "/system/drain", acts.drain, ADMIN),
    Route("POST", "/system/clean", acts.clean, ADMIN),
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
        f"{API}/drain",
        acts.drain,
        ADMIN,
        "Refuse new images, or take them again.",
        body=Drain,
        answer=ActAnswer,
    ),
    Route("POST", f"{API}/clean", acts.clean, ADMIN, "Clean now, whatever the window.", body=Clean, answer=ActAnswer),
)

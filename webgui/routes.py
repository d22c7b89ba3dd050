"""Every address of the web interface with what it needs: the areas' own tables put together. It must not hold behaviour."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from webgui import live
from webgui.areas.acts import routes as acts_routes
from webgui.areas.alerts import routes as alerts_routes
from webgui.areas.audit import routes as audit_routes
from webgui.areas.config import routes as config_routes
from webgui.areas.dashboard import pages as dashboard
from webgui.areas.dashboard import routes as dashboard_routes
from webgui.areas.dashboard.shapes import ChartAnswer, StatusAnswer
from webgui.areas.help import routes as help_routes
from webgui.areas.logs import routes as logs_routes
from webgui.areas.people import routes as people_routes
from webgui.areas.quarantine import routes as quarantine_routes
from webgui.areas.queue import routes as queue_routes
from webgui.areas.rules import routes as rule_routes
from webgui.areas.series import routes as series_routes
from webgui.areas.sources import routes as source_routes
from webgui.areas.system import routes as system_routes
from webgui.areas.targets import routes as target_routes
from webgui.areas.upload import routes as upload_routes
from webgui.areas.welcome import routes as welcome_routes
from webgui.guards import PERMISSIONS, SAFE_METHODS, Need
from webgui.pages import health, login, metrics, setup, static
from webgui.route import TABLE, Route
from webgui.strict import strict

ROUTES: tuple[Route, ...] = (
    Route("GET", "/healthz", health.alive, Need.NOTHING),
    Route("GET", "/readyz", health.ready, Need.NOTHING),
    Route("GET", "/metrics", metrics.show, Need.NOTHING),
    Route("GET", "/static/{digest}/{name:.+}", static.show, Need.NOTHING),
    Route("GET", "/setup", setup.show, Need.NOTHING),
    Route("POST", "/setup", setup.submit, Need.NOTHING),
    Route("GET", "/login", login.show, Need.NOTHING),
    Route("POST", "/login", login.submit, Need.NOTHING),
    Route("POST", "/logout", login.leave, Need.VIEWER),
    Route("GET", "/", dashboard.show, Need.VIEWER),
    Route("GET", "/ws", live.socket, Need.VIEWER),
    Route(
        "GET",
        "/api/v1/status",
        dashboard.api,
        Need.VIEWER,
        "The document of `scanpost status --json`.",
        answer=StatusAnswer,
    ),
    Route(
        "GET",
        "/api/v1/dashboard/chart",
        dashboard.chart,
        Need.VIEWER,
        "Rates and queues over time.",
        query=dashboard.ChartQuery,
        answer=ChartAnswer,
    ),
)

NODE_ROUTES: tuple[Route, ...] = (
    *help_routes.ROUTES,
    *dashboard_routes.ROUTES,
    *acts_routes.ROUTES,
    *quarantine_routes.ROUTES,
    *queue_routes.ROUTES,
    *alerts_routes.ROUTES,
    *system_routes.ROUTES,
    *logs_routes.ROUTES,
    *audit_routes.ROUTES,
    *series_routes.ROUTES,
    *upload_routes.ROUTES,
    *config_routes.ROUTES,
    *people_routes.ROUTES,
    *rule_routes.ROUTES,
    *target_routes.ROUTES,
    *source_routes.ROUTES,
    *welcome_routes.ROUTES,
)
"""The areas' tables; there with a node behind the page (`keys.NODE`)."""


def add_routes(app: web.Application, routes: Iterable[Route] = ROUTES) -> None:
    """Register routes together with their permissions; a route added in any other way is denied."""
    for one in routes:
        app[TABLE].append(one)
        handler = strict(one)
        route = app.router.add_route(one.method, one.path, handler)
        assert route.resource is not None
        app[PERMISSIONS][one.method, route.resource.canonical] = one.need
        if one.method in SAFE_METHODS and one.path != "/ws":
            app.router.add_route("HEAD", one.path, handler)
            app[PERMISSIONS]["HEAD", route.resource.canonical] = one.need

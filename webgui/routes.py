"""Every address of the web interface with what it needs, on one screen. It must not hold behaviour."""

from __future__ import annotations

from aiohttp import web

from webgui import live
from webgui.guards import PERMISSIONS, SAFE_METHODS, Handler, Need
from webgui.pages import dashboard, health, login, metrics, rules, setup, static

ROUTES: tuple[tuple[str, str, Handler, Need], ...] = (
    ("GET", "/healthz", health.alive, Need.NOTHING),
    ("GET", "/readyz", health.ready, Need.NOTHING),
    ("GET", "/metrics", metrics.show, Need.NOTHING),
    ("GET", "/static/{digest}/{name:.+}", static.show, Need.NOTHING),
    ("GET", "/setup", setup.show, Need.NOTHING),
    ("POST", "/setup", setup.submit, Need.NOTHING),
    ("GET", "/login", login.show, Need.NOTHING),
    ("POST", "/login", login.submit, Need.NOTHING),
    ("POST", "/logout", login.leave, Need.VIEWER),
    ("GET", "/", dashboard.show, Need.VIEWER),
    ("GET", "/ws", live.socket, Need.VIEWER),
    ("GET", "/api/v1/status", dashboard.api, Need.VIEWER),
)

RULE_ROUTES: tuple[tuple[str, str, Handler, Need], ...] = (
    ("GET", "/api/v1/rules", rules.show, Need.VIEWER),
    ("POST", "/api/v1/rules/test", rules.test, Need.VIEWER),
    ("POST", "/api/v1/rules/backtest", rules.start, Need.VIEWER),
    ("GET", "/api/v1/rules/backtest/{id}", rules.look, Need.VIEWER),
    ("DELETE", "/api/v1/rules/backtest/{id}", rules.cancel, Need.VIEWER),
    ("GET", "/api/v1/routing/schema", rules.schema, Need.VIEWER),
)


def add_routes(app: web.Application, routes: tuple[tuple[str, str, Handler, Need], ...] = ROUTES) -> None:
    """Register routes together with their permissions; a route added in any other way is denied."""
    for method, path, handler, need in routes:
        route = app.router.add_route(method, path, handler)
        assert route.resource is not None
        app[PERMISSIONS][method, route.resource.canonical] = need
        if method in SAFE_METHODS and path != "/ws":
            app.router.add_route("HEAD", path, handler)
            app[PERMISSIONS]["HEAD", route.resource.canonical] = need

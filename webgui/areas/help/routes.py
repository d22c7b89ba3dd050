"""The addresses of help. It must not hold behaviour."""

from __future__ import annotations

from webgui.areas.help import pages
from webgui.guards import Need
from webgui.route import Route

ROUTES = (Route("GET", "/help", pages.show, Need.VIEWER),)

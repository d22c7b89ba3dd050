"""The addresses of the audit. It must not hold behaviour."""

from __future__ import annotations

from webgui.areas.audit import pages
from webgui.areas.audit.models import AuditAnswer, CheckAnswer, Filters
from webgui.guards import Need
from webgui.route import Route

ROUTES = (
    Route("GET", "/audit", pages.show, Need.VIEWER),
    Route("GET", "/api/v1/audit", pages.api, Need.VIEWER, "The audit, newest first: who changed what, before and after.",
          query=Filters, answer=AuditAnswer),
    Route("GET", "/api/v1/audit/check", pages.api_check, Need.VIEWER, "Hold all entries of the audit against their chain.",
          answer=CheckAnswer),
)  # fmt: skip

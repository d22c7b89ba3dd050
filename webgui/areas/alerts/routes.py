"""The addresses of alerts. It must not hold behaviour."""

from __future__ import annotations

from webgui.areas.alerts import acts, pages
from webgui.areas.alerts.models import Acknowledge, Channel, NewSilence, OldSilence
from webgui.areas.alerts.shapes import AcknowledgedAnswer, AlertsAnswer, EndedAnswer, MessagesAnswer, SilenceAnswer
from webgui.guards import Need
from webgui.route import Route
from webgui.shapes import ActAnswer

LOOK, ACT = Need.VIEWER, Need.OPERATOR
API = "/api/v1/alerts"

ROUTES = (
    Route("GET", "/alerts", pages.show, LOOK),
    Route("POST", "/alerts/acknowledge", acts.acknowledge, ACT),
    Route("POST", "/alerts/silence", acts.silence, ACT),
    Route("POST", "/alerts/unsilence", acts.unsilence, ACT),
    Route("POST", "/alerts/test", acts.test, Need.ADMIN),
    Route(
        "GET",
        API,
        pages.api,
        LOOK,
        "Alerts that stand, those cleared within a week, silences, channels.",
        answer=AlertsAnswer,
    ),
    Route(
        "GET",
        f"{API}/messages",
        pages.api_messages,
        LOOK,
        "Mails and webhooks: sent, waiting, given up.",
        answer=MessagesAnswer,
    ),
    Route(
        "POST",
        f"{API}/acknowledge",
        acts.acknowledge,
        ACT,
        "Take care of an alert.",
        body=Acknowledge,
        answer=AcknowledgedAnswer,
    ),
    Route(
        "POST",
        f"{API}/silences",
        acts.silence,
        ACT,
        "Tell nobody of what matches, for a while.",
        body=NewSilence,
        answer=SilenceAnswer,
    ),
    Route(
        "POST", f"{API}/silences/end", acts.unsilence, ACT, "End a silence now.", body=OldSilence, answer=EndedAnswer
    ),
    Route(
        "POST", f"{API}/test", acts.test, Need.ADMIN, "Send a test by mail or webhook.", body=Channel, answer=ActAnswer
    ),
)

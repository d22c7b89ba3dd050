"""The life of an alert: what becomes of those that stand, and of which people are told now. Pure; it must not act.

raised - (updated) - going - cleared: what is over for `clear_after_s` is cleared; what comes back before is the same alert.
People are told when it is raised, when it has become worse, again after growing times while nobody has acknowledged it,
and that it is over if they were told that it is there. Silenced: not, until the silence ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from protocol.records import record
from protocol.settings.alerts import Alerts as Limits
from protocol.spool.alerting import ACTOR, INFO, SEVERITIES, TIME, WATCH, Symptom
from protocol.spool.alerts import Alert, Step

REWORD_S = 300.0
"""New words or another number are written down at most this often."""
HOUR_S = 3600.0


def steps(alerts: Sequence[Alert], wrong: Mapping[str, Symptom], now: float, clear_after_s: float) -> list[Step]:
    """What becomes of the alerts: those of the watch by what is wrong now, those of time when they are too old."""
    known = {one.key: one for one in alerts}
    done = []
    for key, symptom in wrong.items():
        alert = known.get(key)
        if alert is None or alert.cleared is not None:
            done.append(Step("raise", symptom))
        elif alert.keeper == WATCH:
            done += _still(alert, symptom, now)
    for alert in alerts:
        if alert.cleared is not None or alert.key in wrong:
            continue
        if alert.keeper == TIME and _ended(alert, now):
            done.append(Step("clear", _of(alert)))
        elif alert.keeper == WATCH:
            done += _going(alert, now, clear_after_s)
    return done


def _ended(alert: Alert, now: float) -> bool:
    """Its time is over, or was set by a clock that was ahead."""
    return alert.ends is not None and not alert.changed - HOUR_S <= now < alert.ends


def _still(alert: Alert, symptom: Symptom, now: float) -> list[Step]:
    changed = (alert.text, alert.count) != (symptom.text, symptom.count) and abs(now - alert.changed) >= REWORD_S
    if changed or alert.severity != symptom.severity:
        return [Step("update", symptom)]
    return [Step("back", symptom)] if alert.gone is not None else []


def _going(alert: Alert, now: float, clear_after_s: float) -> list[Step]:
    if alert.gone is None and clear_after_s > 0:
        return [Step("going", _of(alert))]
    since = alert.gone if alert.gone is not None else now
    # A clock that was set back must not make it stand for ever.
    return [Step("clear", _of(alert))] if now - since >= clear_after_s or since > now else []


def _of(alert: Alert) -> Symptom:
    return Symptom(alert.key, alert.text, alert.severity, alert.about, alert.count)


@record
class Telling:
    """Something to tell: raised, worse, again or cleared."""

    what: str
    alert: Alert


def tellings(alerts: Sequence[Alert], now: float, limits: Limits) -> list[Telling]:
    """Of what people are to be told now."""
    return [Telling(what, one) for one in alerts if (what := _telling(one, now, limits))]


def _telling(alert: Alert, now: float, limits: Limits) -> str:
    if alert.cleared is not None:
        # What an actor clears it may raise again at once; what the watch clears has been over for a while.
        settled = alert.keeper != ACTOR or not 0 <= now - alert.cleared < limits.clear_after_s
        return "cleared" if alert.tells and settled else ""
    if alert.silence is not None:
        return ""
    if not alert.tells:
        return "" if alert.acknowledged is not None else "raised"
    if _rank(alert.severity) > _rank(alert.told_severity):
        return "worse"
    nobody_needs_it = alert.acknowledged is not None or alert.severity == INFO or alert.gone is not None
    if nobody_needs_it or not limits.repeat_h or alert.told is None:
        return ""
    wait_s = limits.repeat_h[min(alert.tells, len(limits.repeat_h)) - 1] * HOUR_S
    return "again" if not 0 <= now - alert.told < wait_s else ""


def _rank(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else -1

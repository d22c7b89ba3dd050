"""The words of this area in one place: states, reasons, statuses, results. It must not know rows."""

from __future__ import annotations

COMPLETE = {
    "released": "its associations were released and it was quiet",
    "spread": "it was quiet long enough for a source that spreads series over associations",
    "idle": "nothing came for long enough",
    "aborted": "an association was aborted and nothing more came",
    "rebuilt": "the spool was made again from its files",
    "command": "a person said so",
}
OUTCOMES = {
    "route": ("ok", "Route"), "hold": ("held", "Hold"), "discard": ("off", "Discard: kept, sent nowhere"),
    "wait": ("wait", "Wait for the study"),
}  # fmt: skip
RESULTS = {
    "true": ("ok", "match"), "false": ("off", "no match"), "unknown": ("warn", "unknown"), "error": ("bad", "error"),
}  # fmt: skip
ACTS = {
    "series.route": "sent it to targets", "series.reroute": "let the rules decide again", "series.hold": "held it",
    "series.release": "released it", "series.discard": "discarded it", "series.keep": "said how long to keep it",
    "queue.retry": "retried the delivery",
    "queue.hold": "held the delivery", "queue.release": "released the delivery", "queue.cancel": "cancelled the delivery",
    "queue.priority": "changed its priority", "queue.redirect": "sent the delivery elsewhere",
}  # fmt: skip
BULK = {
    "route": ("Send to …", "target"), "reroute": ("Run the rules again", "retry"), "hold": ("Hold", "pause"),
    "release": ("Release", "play"), "keep": ("Keep until …", "lock"), "discard": ("Discard", "delete"),
}  # fmt: skip
CONSEQUENCES = {
    "route": "They are sent, whatever the rules said; a target that has a delivery of one under way is left alone.",
    "reroute": "The rules of today decide again; what they route is sent again, also to targets that have it already.",
    "hold": "Nothing of them is sent until somebody releases them.",
    "release": "What was held of them goes on; where nothing was decided yet, the rules decide.",
    "keep": "Their files stay here at least until the end of that day, whatever the retention says. It is never shortened.",
    "discard": "They are sent nowhere. Their files are kept for their retention, so they can be sent later.",
}
PRIORITIES = ("urgent", "normal", "off-peak")
DELIVERY_STATES = {
    "waiting": "waiting", "sending": "sending", "retrying": "retrying", "confirming": "waits for commitment",
    "parked": "gave up", "held": "held", "delivered": "delivered", "cancelled": "cancelled",
}  # fmt: skip
OUTCOME_OF_ATTEMPT = {
    "delivered": ("ok", "succeeded"), "confirming": ("busy", "sent all and waits for commitment"),
    "failed": ("warn", "failed"), "interrupted": ("warn", "was interrupted"), "parked": ("bad", "ended for good"),
    "held": ("held", "was set aside"), "sending": ("busy", "is under way"),
}  # fmt: skip
_STATUSES = {
    0x0000: "Success", 0x0110: "Processing failure", 0x0111: "Already there", 0x0117: "Invalid SOP instance",
    0x0118: "No such SOP class", 0x0122: "SOP class not supported", 0x0124: "Not authorised",
    0x0211: "Unrecognised operation", 0x0213: "Resource limitation", 0xB000: "Stored, elements were changed",
    0xB006: "Stored, elements were discarded", 0xB007: "Stored, does not match its SOP class",
}  # fmt: skip


def status(code: int | None) -> str:
    """A status of C-STORE with its meaning (PS3.4 table B.2-1, PS3.7 Annex C)."""
    if code is None:
        return ""
    words = _STATUSES.get(code) or {0xA7: "Out of resources", 0xA9: "Data set does not match its SOP class"}.get(
        code >> 8
    )
    words = words or {0xC: "Cannot understand", 0xB: "Stored with a warning"}.get(code >> 12, "Refused")
    return f"{code:04X} {words}"


def seconds(value: float) -> str:
    """A gap of a timeline: `0.4 s`, `12 s`, `3 min 20 s`, `2 h 05 min`, `3 d 4 h`."""
    if value < 0.0005:
        return "0 s"
    if value < 0.1:
        return f"{value * 1000:.0f} ms"
    if value < 10:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"


def person(name: object) -> str:
    """A person name (PS3.5 section 6.2.1) as people write it: `Doe, John`; only the first of its representations."""
    first = next((one for one in str(name or "").split("=") if one.strip()), "")
    parts = [part.strip() for part in first.split("^")]
    family, given = parts[0], " ".join(part for part in parts[1:3] if part)
    return f"{family}, {given}" if family and given else family or given


def date(value: object) -> str:
    """A date (PS3.5 section 6.2, DA) as 2026-01-31; anything else as it is."""
    text = str(value or "")
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == 8 and text.isdecimal() else text

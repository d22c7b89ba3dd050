"""The English of the rule pages: labels and help of every setting of a rule, words for modes and results."""

from __future__ import annotations

RULE = {
    "name": ("Name", "Letters a-z, digits, - and _. It stands in lists, events and the history."),
    "when": ("Applies when", ""),
    "action": ("Then", "Send to the targets; keep for a person to release; or drop after the retention."),
    "targets": ("To", "Targets and groups. With Hold: where it goes once a person releases it."),
    "trigger": ("Decides on", "A series; a whole study once it is complete; or each image as it comes in, without waiting."),
    "priority": ("Priority", "Urgent goes before everything else; off-peak waits for the quiet hours."),
    "mode": ("Mode", "Shadow: evaluated and counted, nothing follows."),
    "stop": ("Stop after it", "Rules below are not asked when this one applied."),
    "fallback": ("Only if no other rule applied", "For what nobody else wanted."),
    "expires": ("Ends", "The last day, 2026-12-31, or a time with its zone, 2026-12-31T18:00+01:00."),
    "off_until": ("Off until", "As if it were off, and back by itself on that day, 2026-12-31, or at a time with its zone."),
    "quota": ("Limit how often", "At most so many decisions; more are left to other rules."),
    "quota.max": ("At most", ""),
    "quota.per": ("Per", "Empty: ever."),
    "schedule": ("Only at these times", "One window a line, by the node's clock: mon-fri 07:00-18:00. Empty: always."),
    "study": ("When a study is complete", "For rules that decide on a whole study."),
    "study.quiet_s": ("Quiet for (s)", "No series came for so long. Empty: as in the settings."),
    "study.complete": ("Or as soon as", "A condition over all its images, such as any_image(Modality == 'SR')."),
    "study.max_wait_s": ("Wait at most (s)", "After its first series."),
    "study.then": ("Then", "Decide on what is there, or hold it for a person."),
    "notify": ("Tell", "One a line: failed, held -> mail:ops@example.org. Occasions: received, completed, failed, held, "
               "discarded; or webhook:https://..."),
    "comment": ("Comment", "What it is for, who asked for it."),
    "owner": ("Owner", "Whom to ask."),
    "tests": ("Test cases", "Headers and what the rule has to make of them."),
}  # fmt: skip

ACTIONS = (("route", "Send to targets"), ("hold", "Hold for a person"), ("discard", "Discard"))
TRIGGERS = (("series", "each series"), ("study", "whole studies"), ("image", "single images, at once"))
PRIORITIES = (("urgent", "urgent"), ("normal", "normal"), ("offpeak", "off-peak"))
CHOICES = {
    "action": ACTIONS, "trigger": TRIGGERS, "priority": PRIORITIES,
    "study.then": (("decide", "decide on what is there"), ("hold", "hold it")),
    "quota.per": (("hour", "hour"), ("day", "day"), ("week", "week"), ("month", "month")),
}  # fmt: skip

MODES = {"active": ("ok", "on"), "shadow": ("wait", "shadow"), "off": ("off", "off")}
RESULTS = {
    "true": ("ok", "yes"), "false": ("off", "no"), "unknown": ("warn", "cannot tell"), "error": ("bad", "error"),
    None: ("off", "not asked"),
}  # fmt: skip
OUTCOMES = {
    "route": ("ok", "sent"), "hold": ("held", "held"), "discard": ("off", "discarded"), "wait": ("wait", "waits for its study"),
}  # fmt: skip

VRS = {
    "AE": "application entity", "AS": "age", "AT": "attribute tag", "CS": "code", "DA": "date", "DS": "decimal number",
    "DT": "date and time", "FD": "number", "FL": "number", "IS": "whole number", "LO": "long text", "LT": "long text",
    "OB": "bytes", "OW": "words", "PN": "name of a person", "SH": "short text", "SL": "whole number", "SQ": "sequence",
    "SS": "whole number", "ST": "short text", "TM": "time", "UC": "text", "UI": "unique identifier",
    "UL": "whole number", "UN": "unknown", "UR": "web address", "US": "whole number", "UT": "text",
}  # fmt: skip
"""Value representations, PS3.5 section 6.2."""
KINDS = {
    "number": "compared as a number", "text": "compared as text", "any": "compared as it is written",
    "date": "compared as a date, '20261231'", "time": "compared as a time, '0730'",
    "datetime": "compared as a date and time",
    "sequence": "a sequence: name an element in it", "binary": "binary: a rule cannot read it",
    "outside": "not of an image's data set: a rule cannot read it",
}  # fmt: skip

OCCASIONS = ("received", "completed", "failed", "held", "discarded")
DIFFERENCES = (
    ("newly_routed", "Newly routed"), ("newly_held", "Newly held"), ("newly_discarded", "Newly discarded"),
    ("other_targets", "Other targets"), ("cannot_tell", "Cannot tell"),
)  # fmt: skip


def then(action: str, targets: list[str] | tuple[str, ...], trigger: str = "series") -> str:
    """What follows, in a few words."""
    to = ", ".join(targets)
    words = {"route": f"send to {to}", "hold": "hold" + (f", then {to}" if to else ""), "discard": "discard"}[action]
    return words + {"study": ", whole studies", "image": ", each image at once"}.get(trigger, "")

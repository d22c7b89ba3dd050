"""The words of this area in one place. It must not know rows."""

from __future__ import annotations

TABS = {"": "Unfinished", "waiting": "Waiting", "sending": "Sending", "retrying": "Retrying", "parked": "Gave up",
        "held": "Held", "done": "Done"}  # fmt: skip
STATES = {
    "waiting": ("wait", "waiting"), "sending": ("busy", "sending"), "retrying": ("warn", "retrying"),
    "confirming": ("busy", "waits for commitment"), "parked": ("bad", "gave up"), "held": ("held", "held"),
    "delivered": ("ok", "delivered"), "cancelled": ("off", "cancelled"),
}  # fmt: skip
ACTS = {
    "retry": ("Retry now", "retry"), "hold": ("Hold", "pause"), "release": ("Release", "play"),
    "priority": ("Change the priority", "up"), "redirect": ("Send elsewhere", "target"), "cancel": ("Cancel", "delete"),
}  # fmt: skip
CONSEQUENCES = {
    "retry": "They are tried again at once.",
    "hold": "They wait until somebody releases them. What is being sent ends its attempt first.",
    "release": "They go on where they were.",
    "priority": "They take their place in the order of the queue.",
    "redirect": "They begin anew at the other target; this one gets no more of them.",
    "cancel": "They are given up. Their series stay here for their retention and can be sent again.",
}
PRIORITIES = (("urgent", "urgent"), ("normal", "normal"), ("offpeak", "off-peak"))
EMPTY = {
    "": (
        "ok",
        "Nothing waits",
        "Every delivery is finished. New ones appear here as soon as a rule sends a series somewhere.",
    ),
    "waiting": ("ok", "Nothing waits", "Deliveries whose turn has not come stand here."),
    "sending": ("ok", "Nothing is being sent", "Deliveries under way stand here, with how far they are."),
    "retrying": ("ok", "Nothing is retrying", "What failed and will be tried again stands here, with why and when."),
    "parked": ("ok", "Nothing gave up", "What used up its attempts, or was refused for good, waits here for you."),
    "held": ("ok", "Nothing is held", "What somebody set aside waits here until it is released."),
    "done": ("inbox", "Nothing is done yet", "Finished deliveries stand here as long as the spool knows them."),
}

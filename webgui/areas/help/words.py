"""The words of scanpost and what its pages show, for the page of help. It must not define a state: protocol/states does."""

from __future__ import annotations

KEYS: tuple[tuple[str, str], ...] = (
    ("g then a letter", "go to an area"),
    ("/", "search box"),
    ("j and k", "next and previous row"),
    ("Enter", "open the row"),
    ("Escape", "leave a field, close a dialog"),
)

LEVELS: tuple[tuple[str, str, str], ...] = (
    ("ok", "well", "done, or as it should be"),
    ("busy", "busy", "something is being done right now"),
    ("wait", "waiting", "its turn comes by itself"),
    ("held", "held", "set aside; it waits for a person"),
    ("warn", "look", "goes on, but somebody should look"),
    ("bad", "bad", "does not go on without somebody"),
    ("off", "off", "switched off, or nothing to say"),
)

GLOSSARY: tuple[tuple[str, str], ...] = (
    (
        "arrival",
        "One series as it came in, from its first image until it was complete. A late image opens a new arrival.",
    ),
    ("attempt", "One try of a delivery. How often and how long is tried again, the target says."),
    ("cause", "Why a delivery failed, as one word of a fixed list: refused, no answer, not accepted, ..."),
    ("complete", "All images are here: the associations that brought them ended and it stayed quiet for a while."),
    ("delivery", "One arrival on its way to one target."),
    ("discarded", "No rule wanted it. It is kept for the retention period and can still be routed."),
    ("held", "Set aside whole: a rule said so, or a person. It waits until a person releases it."),
    ("ledger", "The database of the past: every arrival, decision and attempt. Routing goes on without it."),
    ("parked", "A delivery that used up its attempts. Nothing is lost: retry it, send it elsewhere, or cancel it."),
    ("quarantined", "An object that could not be read or placed; kept with its bytes and the reason."),
    ("rule", "A condition on what an image says of itself, and what to do: route, discard, hold."),
    ("shadow", "A rule that is evaluated and counted, but not acted on: a rehearsal."),
    (
        "source",
        "Who sends: known by AE title, address or certificate. Strangers may send, too, unless that is switched off.",
    ),
    ("spool", "Where images are kept until they are delivered and their retention is over."),
    ("target", "Where images go: a DICOM node, a DICOMweb server, a folder, S3, SFTP."),
    ("target group", "Targets that share the load, or stand in for one another."),
)

DOCUMENTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Every day", ("queue", "alerts", "web", "retention", "backup", "mining")),
    (
        "Configuring",
        ("routing", "rules", "backtest", "targets", "sources", "dicomweb", "file-targets", "transcoding", "commitment"),
    ),
    ("Reference", ("guarantees", "audit", "events", "metrics", "conformance", "adding-a-target")),
)
"""Names of documents in the order of the page; those that are not listed come last."""

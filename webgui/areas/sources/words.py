"""The English of the source pages: labels and help of every setting of a source. It must not hold behaviour."""

from __future__ import annotations

FIELDS = {
    "calling_ae": ("AE title", "Its calling AE title, exactly."),
    "address": ("Address", "An address, or a network such as 10.1.0.0/16."),
    "certificate": ("Certificate", "Of verified TLS: a common name, or the whole subject CN=mr1,OU=Radiology."),
    "label": ("Shown as", "The name that people read; empty: the source's name."),
    "quiet_s": ("Complete after quiet (s)", "Once its associations are released. Empty: as for everybody."),
    "idle_s": (
        "Complete after silence (s)",
        "While an association stays open, or after an abort. Empty: as for everybody.",
    ),
    "accept": ("Accept it", "Off: its associations are rejected."),
    "charset": ("Character set", "For objects that name none: ISO_IR 100, several with a backslash."),
    "resend": ("Images that come again", "Ignore: bit for bit the same is a duplicate. Deliver: a new image."),
    "unreadable": ("Unreadable objects", "Empty: as for everybody."),
    "max_associations": ("Associations at once", "More are rejected for now, and it tries again."),
    "max_images_per_s": ("Images per second", "More are answered later; nothing is refused."),
    "max_object_mb": ("Largest object (MB)", "Larger ones are refused."),
    "sop_classes": ("SOP classes", "UIDs that it may store, with commas. Empty: all."),
    "commitment.policy": (
        "Storage commitment",
        "Target: committed is what the targets have. Spool: what is durable here. Off.",
    ),
    "commitment.target": ("Its reference target", "Empty: every target of the image."),
    "commitment.host": ("Reports to host", "Empty: where the request came from."),
    "commitment.port": ("Reports to port", ""),
    "commitment.ae_title": ("Reports to AE title", ""),
    "commitment.wait_s": ("Failed if not committed after (s)", ""),
    "commitment.unknown_s": ("Failed if unknown after (s)", ""),
    "commitment.report_s": ("Give a report up after (s)", ""),
    "comment": ("Comment", "Where it stands, whom to call."),
}
SHOWN = ("calling_ae", "address", "certificate", "label", "accept", "quiet_s", "idle_s", "comment")
SETTINGS = {"quiet_s": "quiet", "idle_s": "silence"}

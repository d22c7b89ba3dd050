"""Says whether a text may be used as a DICOM UID.

It must not repair one: an invalid UID sends the object to quarantine.
"""

from __future__ import annotations

import re
from functools import lru_cache

# fullmatch and an explicit class: "$" and "\d" would let a line feed and non-ASCII digits pass.
_UID = re.compile(r"[0-9]+(?:\.[0-9]+)*")
MAX_LENGTH = 64


@lru_cache(maxsize=4096)
def valid_uid(text: str) -> bool:
    """True if `text` is a UID of 1 to 64 characters, numeric components joined by dots (PS3.5 section 9.1).

    Strict about characters, length and empty components, because the text goes into file metas, tables and
    logs. Lenient where the standard forbids a leading zero in a component: scanners in the field write such
    UIDs, every peer accepts them, and quarantining them would keep real images from their targets.
    """
    return len(text) <= MAX_LENGTH and _UID.fullmatch(text) is not None


def uid_fault(text: str) -> str:
    """What is wrong with a UID, in words that do not repeat it; empty if it is a valid one."""
    if valid_uid(text):
        return ""
    if not text:
        return "missing"
    return "invalid: " + (
        f"longer than {MAX_LENGTH} characters" if len(text) > MAX_LENGTH else "it is not of digits and single dots"
    )

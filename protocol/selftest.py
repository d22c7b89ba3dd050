"""The self-test: a synthetic study that this node sends to itself and delivers, to prove the whole way. What is agreed about it:
how its study is recognised, where it goes, what both sides say. It must not send or decide anything.

A study is a self-test only if a command announced its very UID before it came: nobody gets real images past the rules by
giving them such a UID.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from protocol.header.uids import valid_uid
from protocol.version import IMPLEMENTATION_CLASS_UID

CALLING_AE = "SELFTEST"
UID_ROOT = f"{IMPLEMENTATION_CLASS_UID}.2."
"""Of the Study Instance UIDs; below our implementation's own UID (PS3.5 section 9.1)."""
PATIENT_NAME, PATIENT_ID = "SELFTEST^SCANPOST^^^NO PATIENT", "SELFTEST"
DESCRIPTION = "scanpost self-test, no patient"
BEGIN, END = "selftest.begin", "selftest.end"
SINK = "_selftest"
"""The built-in target; no configured one can have this name."""
SINK_FOLDER = "selftest"
"""Below run/."""


def fresh_study_uid() -> str:
    """With room for series and instance within 64 characters (PS3.5 section 9.1)."""
    return f"{UID_ROOT}{random.SystemRandom().randrange(10**11, 10**12)}"


def looks_like_one(study_uid: str) -> bool:
    """Whether it is worth looking for its announcement."""
    return study_uid.startswith(UID_ROOT)


def study_of(arguments: Mapping[str, Any]) -> str:
    """The study that a command is about; empty if it names none of ours."""
    given = arguments.get("study_uid")
    return given if isinstance(given, str) and looks_like_one(given) and valid_uid(given) else ""


def target_of(arguments: Mapping[str, Any]) -> str:
    """Where the study is to go."""
    given = arguments.get("target")
    return given if isinstance(given, str) and given else SINK

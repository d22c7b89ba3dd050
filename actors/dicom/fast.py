"""Whether the compiled helper (_fast.c) is there and wanted; without it everything is done in Python, more slowly.
It must not change what is done: reading.py does the same without it.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

VARIABLE = "SCANPOST_PURE_PYTHON"
"""Set to 1 it turns the helper off."""
INTERFACE = 1
"""That of _fast.c: one that was compiled from other sources is not used."""


def _load() -> tuple[Any, str]:
    if os.environ.get(VARIABLE, "0") not in ("", "0"):
        return None, f"turned off by {VARIABLE}=1"
    if sys.maxsize < 2**32:
        return None, "only for machines of 64 bits"  # a PDU's length must fit into its numbers
    try:
        helper = importlib.import_module("actors.dicom._fast")
    except ImportError as exc:
        reason = "not built" if isinstance(exc, ModuleNotFoundError) else f"cannot be loaded: {exc}"
        return None, f"{reason}; install scanpost where a C compiler is to get it"
    if getattr(helper, "INTERFACE", 0) != INTERFACE:
        return None, "of another version; install scanpost again to get it"
    return helper, ""


helper, why_not = _load()
"""The module, or None and why. Tests put None in its place."""


def in_words() -> str:
    """For people: which way images are received."""
    return "compiled helper" if helper is not None else f"pure Python ({why_not})"

"""Whether the compiled helper (_fast.c) is there and wanted; without it everything is done in Python, more slowly.
It must not change what is done: reading.py does the same without it.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

VARIABLE = "SCANPOST_PURE_PYTHON"
"""Set to 1 it turns the helper off."""


def _load() -> tuple[Any, str]:
    if os.environ.get(VARIABLE, "0") not in ("", "0"):
        return None, f"turned off by {VARIABLE}=1"
    try:
        return importlib.import_module("actors.dicom._fast"), ""
    except ImportError as exc:
        reason = "not built" if isinstance(exc, ModuleNotFoundError) else f"cannot be loaded: {exc}"
        return None, f"{reason}; install scanpost where a C compiler is to get it"


helper, why_not = _load()
"""The module, or None and why. Tests put None in its place."""


def in_words() -> str:
    """For people: which way images are received."""
    return "compiled helper" if helper is not None else f"pure Python ({why_not})"

"""Libraries that only some types of target need, as extras of the installation: imported here, when they are used.
It must not install anything, and a library that is missing is a fault of the configuration, told with its cure.
"""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import Any

from protocol.errors import ConfigurationError

EXTRAS = {"s3": "obstore", "sftp": "asyncssh"}
"""Type of target (and name of the extra) -> the module it cannot do without."""


def load(kind: str) -> Any:
    """The module that targets of this type need. Raises ConfigurationError: it is not installed."""
    try:
        return importlib.import_module(EXTRAS[kind])
    except ImportError as exc:
        raise ConfigurationError(*_lacking(kind)) from exc


def missing(kind: str) -> str | None:
    """What to tell a person if targets of this type cannot work here, else None. Imports nothing."""
    if kind not in EXTRAS or find_spec(EXTRAS[kind]) is not None:
        return None
    return str(ConfigurationError(*_lacking(kind)))


def _lacking(kind: str) -> tuple[str, str, str]:
    words = f"targets of type {kind} need the library {EXTRAS[kind]}, which is not installed"
    return words, "", f"Install it: pip install scanpost[{kind}]"

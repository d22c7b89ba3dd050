"""Libraries that only some types of target need, imported when they are used.
It must not install anything: one that is missing is a fault of the configuration, told with its cure.
"""

from __future__ import annotations

import importlib
from typing import Any

from protocol.errors import ConfigurationError
from protocol.routing.extras import EXTRAS, cure, words


def load(kind: str) -> Any:
    """The module that targets of this type need. Raises ConfigurationError: it is not installed."""
    try:
        return importlib.import_module(EXTRAS[kind])
    except ImportError as exc:
        raise ConfigurationError(words(kind), "", cure(kind).capitalize()) from exc

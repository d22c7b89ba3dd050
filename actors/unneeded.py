"""Keeps a library from loading another one that it would only use if it is there. It must not hide what is needed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(name: str) -> Iterator[None]:
    """While the block imports, the module `name` is missing, unless it is loaded already."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]  # documented: its import then fails (Language Reference 5.3.1)
    try:
        yield
    finally:
        del sys.modules[name]

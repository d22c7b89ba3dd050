"""How often an actor looks for garbage in circles. It must not be used where objects are made in circles and have to go.

What was loaded at the start is never garbage, and what an image or event makes goes by itself when it is done with; looking
for circles among all of it took a fifth of the bookkeeper's time, and a tenth of loading an actor.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

THRESHOLDS = (20_000, 20, 20)


@contextmanager
def not_while_loading() -> Iterator[None]:
    """Around the imports of a process."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def collect_rarely() -> None:
    """To be called when everything is loaded, by a process that lives long and is all the caller's."""
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)

"""The negative control beside the real bookkeeper: it hears the same bus, is killed as often, and writes its own ledger.
`SCANPOST_LEDGER__URL=... python -m tests.network.hearsay_beside`.
"""

from __future__ import annotations

import sys
from typing import ClassVar

from actors.base import run
from protocol.wire import lanes
from tests.bookkeeper.hearsay import HearsayBookkeeper


class HearsayBeside(HearsayBookkeeper):
    """Same as the other, with a seat of its own."""

    NAME: ClassVar[str] = "hearsay"


if __name__ == "__main__":
    lanes.ROLES["hearsay"] = lanes.Role(subscribe=("ev.",))  # the real one needs only a word that there is something
    sys.exit(run(HearsayBeside, sys.argv[1:]))

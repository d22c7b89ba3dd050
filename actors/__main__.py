"""`python -m actors NAME [--instance N]` runs one actor. It must not import an actor that was not asked for."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from actors.garbage import not_while_loading

if TYPE_CHECKING:
    from actors.base import Actor

ACTORS = {
    "bus": "actors.bus:BusActor",
    "receiver": "actors.receiver.actor:ReceiverActor",
    "router": "actors.router.actor:RouterActor",
    "dispatcher": "actors.dispatcher.actor:DispatcherActor",
    "cleaner": "actors.cleaner.actor:CleanerActor",
    "bookkeeper": "actors.bookkeeper.actor:BookkeeperActor",
}
EXIT_USAGE = 2


def find(name: str) -> type[Actor]:
    """The class of an actor. Raises KeyError for a name that is none."""
    module, _, attribute = ACTORS[name].partition(":")
    found: type[Actor] = getattr(importlib.import_module(module), attribute)
    return found


def main(argv: Sequence[str]) -> int:
    """Returns the exit code."""
    if not argv or argv[0] not in ACTORS:
        print(f"usage: python -m actors {{{','.join(ACTORS)}}} [--instance N]", file=sys.stderr)
        return EXIT_USAGE
    with not_while_loading():
        from actors.base import run

        actor = find(argv[0])
    return run(actor, argv[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

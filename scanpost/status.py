"""`scanpost status`: how the node stands, from the spool and the actors' locks. It only reads."""

from __future__ import annotations

from typing import Any

import click

from scanpost.asking import opened, size, status_of, when
from scanpost.common import Options, json_option, pass_options, print_json, print_table


@click.command()
@json_option
@pass_options
def status(options: Options, as_json: bool) -> None:
    """How the node stands: actors, images, deliveries, targets, disk.

    \b
    Works while the ledger's database, the bus or any actor is away.
    Examples:
      scanpost status
      scanpost status --json | jq .images
    """
    with opened(options, reading=True) as (settings, spool):
        document = status_of(settings, spool)
    if as_json:
        print_json(document)
        return
    _print(document)


def _print(document: dict[str, Any]) -> None:
    drain = document["draining"]
    ready = (
        "yes" if document["ready"] else f"no: drained since {when(drain['since'])} by {drain['by']}" if drain else "no"
    )
    print_table(["node", "ready", "routing version", "disk free"],
                [[document["node"], ready, document["revision"],
                  f"{size(document['disk']['free_bytes'])} ({document['disk']['state']})"]])  # fmt: skip
    print_table(["actor", "state", "pid", "up for"],
                [[name, actor["state"], actor["pid"], f"{actor['uptime_s']:.0f} s"] for name, actor in document["actors"].items()],
                title="\nActors")  # fmt: skip
    for title, key in (("\nImages", "images"), ("\nDeliveries", "deliveries")):
        print_table(list(document[key]), [list(document[key].values())], title=title)
    rows = [
        [
            name,
            target["state"],
            target["waiting"],
            target["sending"],
            target["parked"],
            target["held"],
            target["last_error"],
        ]
        for name, target in document["targets"].items()
    ]
    print_table(["target", "state", "waiting", "sending", "parked", "held", "last error"], rows, title="\nTargets")

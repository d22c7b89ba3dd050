"""`python -m bench [NAME ...]`: benches side by side with the peers that are installed. Start with `scripts/bench`."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.associations import associations
from bench.idle import idle
from bench.images import SETS
from bench.latency import latency
from bench.nagle import nagle
from bench.receive import receive
from bench.report import Report, write
from bench.runs import Session
from bench.send import send

BENCHES: dict[str, Callable[[Session], None]] = {
    "receive": receive, "nagle": nagle, "send": send, "latency": latency, "associations": associations, "idle": idle,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHES, []], help="default: all")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--share", type=float, default=1.0, help="part of each set, for a quick look")
    parser.add_argument("--sets", nargs="+", choices=[*SETS], default=[*SETS], help="default: all")
    parser.add_argument("--results", type=Path, default=Path("var/bench"))
    chosen = parser.parse_args()
    report = Report()
    with tempfile.TemporaryDirectory(prefix="scanpost-bench-") as folder:
        for name in chosen.names or BENCHES:
            BENCHES[name](
                Session(Path(folder), chosen.share, chosen.repetitions, chosen.sets, report.add, report.absent)
            )
    write(report, chosen.results)


if __name__ == "__main__":
    main()

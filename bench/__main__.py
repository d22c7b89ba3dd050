"""`python -m bench [NAME ...]`: benches side by side with the peers that are installed. Start with `scripts/bench`."""

from __future__ import annotations

import argparse
import inspect
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.associations import associations
from bench.backtest import backtest
from bench.bad_targets import bad_targets
from bench.dashboards import dashboards
from bench.deciding import deciding
from bench.end_to_end import end_to_end
from bench.figures import figures
from bench.history import history
from bench.idle import idle
from bench.images import SETS
from bench.latency import latency
from bench.ledger import ledger
from bench.live import live
from bench.machine import facts
from bench.nagle import nagle
from bench.pages import pages
from bench.profile import profile
from bench.queue import queue
from bench.receive import receive
from bench.report import Outcome, as_json, load, markdown, save, table
from bench.restart import restart
from bench.rules import rules
from bench.runs import Result, Session
from bench.selections import selections
from bench.send import send

BENCHES: dict[str, Callable[[Session], None]] = {
    "receive": receive, "nagle": nagle, "send": send, "latency": latency, "restart": restart,
    "associations": associations, "idle": idle, "profile": profile, "rules": rules, "backtest": backtest,
    "deciding": deciding, "end_to_end": end_to_end, "queue": queue, "selections": selections, "bad_targets": bad_targets,
    "ledger": ledger, "live": live, "history": history, "figures": figures, "pages": pages, "dashboards": dashboards,
}  # fmt: skip
TOGETHER = {"deliver": ("end_to_end", "queue", "latency", "bad_targets")}
RESULTS = Path(__file__).with_name("RESULTS.md")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHES, *TOGETHER, []], help="default: all; deliver is several")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--share", type=float, default=1.0, help="part of each set, for a quick look")
    parser.add_argument("--sets", nargs="+", choices=[*SETS], default=[*SETS], help="default: all")
    parser.add_argument("--json", action="store_true", help="JSON on stdout instead of tables")
    parser.add_argument(
        "--write",
        action="store_true",
        help="put the newest run of each bench into bench/RESULTS.md; alone it runs none",
    )
    parser.add_argument(
        "--results", type=Path, default=Path("var/bench"), help="where the newest run of each bench is kept"
    )
    parser.add_argument("--folder", type=Path, help="where the benches write; default: the system's temporary folder")
    parser.add_argument("--keep", type=Path, help="where large databases stay for the next run; default: they go")
    return parser.parse_args()


def run(name: str, chosen: argparse.Namespace) -> Outcome:
    """One bench in a folder of its own."""
    about = (inspect.getdoc(sys.modules[BENCHES[name].__module__]) or "").split("\n\n")
    said = " ".join(" ".join(about).split())
    with tempfile.TemporaryDirectory(prefix="scanpost-bench-", dir=chosen.folder) as folder:
        outcome = Outcome(name, said, time.strftime("%Y-%m-%d"), chosen.share, chosen.repetitions, facts(Path(folder)))

        def add(results: Sequence[Result]) -> None:
            outcome.results += results
            if not chosen.json:
                print(table(results), flush=True)

        def absent(names: Sequence[str]) -> None:
            new = sorted(set(names) - set(outcome.absent))
            outcome.absent += new
            if new:
                print(f"absent, so not measured: {', '.join(new)}", file=sys.stderr)

        BENCHES[name](Session(Path(folder), chosen.share, chosen.repetitions, chosen.sets, add, absent, chosen.keep))
    save(outcome, chosen.results)
    return outcome


def main() -> None:
    chosen = arguments()
    # Whoever stops a bench stops what it started, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    names = [one for name in chosen.names for one in TOGETHER.get(name, (name,))]
    names = names or ([] if chosen.write else list(BENCHES))
    outcomes = [run(name, chosen) for name in names]
    if chosen.json:
        print("[" + ",\n".join(map(as_json, outcomes)) + "]")
    if chosen.write:
        order = list(BENCHES)
        RESULTS.write_text(markdown(load(chosen.results, order), RESULTS.read_text(), order))


if __name__ == "__main__":
    main()

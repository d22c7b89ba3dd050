"""P13: a backtest of 150,000 arrivals of 30 days, a draft of ten rules against ten active ones, from a SQLite ledger.

The ledger is made by rows with headers of real size; rules read texts, numbers, sender and counts as departments write them.
`whole` is what `scanpost rules backtest` does, with as many processes as it would take; `alone` is one process; `each image`
has a rule that looks at single images, so that what differs between them is read, too. Only `whole` has a goal.
"""

from __future__ import annotations

import resource
import sys
import time
from typing import Any

from bench.past import BEGIN, DAYS, NODE, fill
from bench.runs import Result, Session, measured
from protocol.ledger.trial import Trial, run
from protocol.routing.model import RoutingConfiguration
from protocol.routing.parse import build

ARRIVALS = 150_000
LIMIT_S = 5.0
TARGETS = {f"t{at}": {"type": "dicom", "host": "h", "port": 104, "called_ae": "A"} for at in range(6)}
WHENS = (
    "Modality == 'MR' and contains(StudyDescription, 'cardiac') and SeriesNumber > 100",
    "Modality in ('CT', 'PT') and not 'LOCALIZER' in ImageType and SliceThickness < 1.5",
    "Modality == 'MG'",
    "SenderAET == 'MR3' or SenderAET == 'MR4'",
    "contains(SeriesDescription, 't1') and MagneticFieldStrength >= 1.5",
    "startswith(ProtocolName, 'protocol 1') and BodyPartExamined in ('BRAIN', 'SPINE')",
    "ImageCount >= 100 and Modality == 'CT'",
    "StationName == 'STATION7' and PatientSex == 'F'",
    "contains(SeriesDescription, 'scout') or contains(SeriesDescription, 'localizer')",
)
EACH_IMAGE = "count_images(SliceLocation > 20) >= 10"


def backtest(session: Session) -> None:
    """Fill a ledger, and ask it."""
    arrivals = max(1000, int(ARRIVALS * session.share))
    url = fill(session.folder / "ledger.sqlite3", arrivals)
    window = (BEGIN, BEGIN + (DAYS + 1) * 86_400.0)
    trial = Trial(url, NODE, window, _rules("SeriesNumber > 300"), _rules("SeriesNumber > 100"), "UTC")
    images = Trial(url, NODE, window, _rules("SeriesNumber > 300", EACH_IMAGE), _rules("SeriesNumber > 100"), "UTC")
    session.add([_measured("whole", trial, arrivals, session.repetitions, processes=0, goal=session.share == 1.0)])
    session.add([_measured("alone", trial, arrivals, session.repetitions, processes=1)])
    session.add([_measured("each image", images, arrivals, min(session.repetitions, 2), processes=0)])


def _measured(what: str, trial: Trial, arrivals: int, repetitions: int, processes: int, goal: bool = False) -> Result:
    seconds, used = [], []
    for _ in range(repetitions):
        begun, cpu = time.perf_counter(), _cpu_s()
        document = run(trial, processes=processes)
        seconds.append(time.perf_counter() - begun)
        used.append(_cpu_s() - cpu)
        if document["arrivals"] != arrivals:
            raise RuntimeError(f"the backtest judged {document['arrivals']} of {arrivals} arrivals")
        print(f"  backtest: {what} {seconds[-1]:.2f} s", file=sys.stderr, flush=True)
    notes = f"{arrivals:,} arrivals, {min(used):.1f} s CPU of all processes"
    if not goal:
        return measured("backtest", what, seconds, "s", notes=notes)
    return measured("backtest", what, seconds, "s", limit=LIMIT_S, goal=f"P13 < {LIMIT_S:g} s", notes=notes)


def _cpu_s() -> float:
    """CPU seconds of this process and of its children that ended: what the machine's load changes least."""
    found = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in found)


def _rules(series_number: str, *more: str) -> RoutingConfiguration:
    whens = [WHENS[0].replace("SeriesNumber > 100", series_number), *WHENS[1:], *more]
    rules: list[dict[str, Any]] = [
        {"name": f"r{at}", "when": when, "action": "route", "targets": [f"t{at % 6}"]} for at, when in enumerate(whens)
    ]
    rules[8] = {"name": "scouts", "when": WHENS[8], "action": "discard"}
    rules.append({"name": "rest", "when": "True", "action": "route", "targets": ["t0"], "fallback": True})
    return build({"targets": TARGETS, "rules": rules}, "bench")

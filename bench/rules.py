"""Rules: three clauses on a decoded header; 100 rules on an arrival of 2,000 images, with explanations.

No peer has such a language, so there is no ratio: goals are those of the issue (2 µs; 100 ms for reading and deciding, of which
40 ms are for this).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from bench.runs import Result, Session, measured
from protocol.routing.rules.compiler import CompiledRule, compile_rule
from protocol.routing.rules.subject import Subject

CALLS = 50_000
LIMIT_US, LIMIT_MS = 2.0, 40.0
IMAGES = 2000
THREE_CLAUSES = "Modality == 'MR' and contains(StudyDescription, 'cardiac') and SeriesNumber > 100"
HEADER: Mapping[str, object] = {
    "Modality": "MR", "StudyDescription": "MR Cardiac stress", "SeriesNumber": 101, "ImageType": ["ORIGINAL", "PRIMARY"],
    "StudyDate": "20260131", "SliceThickness": 5.0, "EchoTime": 10.0, "SliceLocation": 0.0, "InstanceNumber": 1,
    "SOPInstanceUID": "1.2.826.0.1.0",
}  # fmt: skip
ORIGIN = {"SenderAET": "MR3", "Source": "mr3", "ReceivedAt": "2026-01-31T23:10:00+00:00"}
PLAIN = (
    "Modality == 'MR' and contains(StudyDescription, 'cardiac') and SeriesNumber > {}",
    "SenderAET == 'MR3' and hour() >= 22 and Modality in ('CT', 'MR') and SeriesNumber > {}",
    "one_of(Modality, 'us', 'mr') and not 'LOCALIZER' in ImageType and like(StudyDescription, '*card{}*')",
    "StudyDate >= '2026-01-{:02}' and missing(PatientID) or SliceThickness < 3",
)
OVER_IMAGES = (
    "any_image(SliceThickness < 1.{}) and count_images() >= 20",
    "all_images(EchoTime > {} and Modality == 'MR')",
    "count_images(SliceLocation > {}) > 10",
    "any_image(contains(StudyDescription, 'x{}'))",
    "all_images(SliceLocation < {} or EchoTime > 5)",
    "count_images(InstanceNumber > {} and SliceLocation > 3) > 100",
)  # two of six ask for what every image has differently


def rules(session: Session) -> None:
    """Evaluation and explanation, without the spool."""
    session.add(_three_clauses(session))
    session.add(_arrival(session))


def _three_clauses(session: Session) -> list[Result]:
    title, calls = "three clauses on a decoded header", max(1000, int(CALLS * session.share))
    rule, subject = compile_rule(THREE_CLAUSES), Subject([HEADER], ORIGIN)

    def figure(what: str, ask: Callable[[], object], limit: float | None) -> Result:
        values = [_seconds(ask, calls) / calls * 1e6 for _ in range(session.repetitions)]
        return measured(title, what, values, "µs", limit=limit, goal=f"rules < {limit:g} µs" if limit else "")

    return [
        figure("result, subject asked before", lambda: rule.result(subject), LIMIT_US),
        figure("result, new subject each time", lambda: rule.result(Subject([HEADER], ORIGIN)), LIMIT_US),
        figure("with explanation, new subject each time", lambda: rule.evaluate(Subject([HEADER], ORIGIN)), None),
    ]


def _arrival(session: Session) -> list[Result]:
    count = max(20, int(IMAGES * session.share))
    title = f"100 rules (34 with image functions) on an arrival of {count} images"
    compiled, differences = hundred_rules(), images(count)
    whole = [{**HEADER, **difference} for difference in differences]

    def figure(what: str, ask: Callable[[], object], limit: float | None = None) -> Result:
        values = [_seconds(ask, 1) * 1000 for _ in range(session.repetitions)]
        return measured(title, what, values, "ms", limit=limit, goal=f"rules < {limit:g} ms" if limit else "")

    return [
        figure("results alone", lambda: _results(compiled, Subject(differences, ORIGIN, HEADER))),
        figure("with explanations", lambda: _explained(compiled, Subject(differences, ORIGIN, HEADER)), LIMIT_MS),
        figure("with explanations, whole headers for each image", lambda: _explained(compiled, Subject(whole, ORIGIN))),
    ]


def hundred_rules() -> list[CompiledRule]:
    """Every third with an image function."""
    texts = [OVER_IMAGES[at // 3 % len(OVER_IMAGES)] if at % 3 == 0 else PLAIN[at % len(PLAIN)] for at in range(100)]
    return [compile_rule(text.format(at % 28 + 1)) for at, text in enumerate(texts)]


def images(count: int) -> list[dict[str, object]]:
    """What each image has of its own, as the spool keeps it."""
    return [
        {
            "SOPInstanceUID": f"1.2.826.0.1.{at}", "InstanceNumber": at + 1, "SliceLocation": at * 1.5,
            "EchoTime": (10.0, 20.0, 30.0)[at % 3], "SliceThickness": (1.0, 5.0)[at % 2],
            "ContentTime": f"12{at // 60 % 60:02}{at % 60:02}", "WindowCenter": at % 50,
            "ImagePositionPatient": [1.0, 2.0, at * 1.5],
        }
        for at in range(count)
    ]  # fmt: skip


def _results(compiled: Sequence[CompiledRule], subject: Subject) -> None:
    for rule in compiled:
        rule.result(subject)


def _explained(compiled: Sequence[CompiledRule], subject: Subject) -> None:
    for rule in compiled:
        rule.evaluate(subject)


def _seconds(ask: Callable[[], object], times: int) -> float:
    begun = time.perf_counter()
    for _ in range(times):
        ask()
    return time.perf_counter() - begun

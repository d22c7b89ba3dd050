"""The support bundle: what a helper needs to know of a node, as a ZIP file in memory, without patient data and secrets.
Everything that comes from outside goes through scrub.py.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from protocol.routing.versions import Version
from protocol.settings import Settings
from protocol.spool import Spool
from webgui.areas.system import looks, scrub

TAIL_BYTES = 400_000
"""Of each log so much of its end."""
MOST_LOGS = 20

README = """What this is: the state of a scanpost node, for whoever helps to find a fault.

What was left out: images and header values, names and ids of patients, passwords, tokens and keys, words of people
(reasons, comments, notes) and of other systems (error texts), and what rules compare patient data with. In the logs all text
but scanpost's own words is "(left out)". Please look through it before you send it on, as you would with any file.

status.json     what `scanpost status --json` says          settings.json   the settings in force
routing.json    targets, groups, sources, rules             alerts.json     what needs a person
checks.json     whether every image is accounted for        versions.json   programs, libraries, machine
logs/           the end of each log
"""


def make(settings: Settings, routing: Version, status: Mapping[str, Any], spool: Spool) -> bytes:
    """The ZIP file. Blocks; reads only."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("README.txt", README)
        for name, document in _documents(settings, routing, status, spool):
            made.writestr(name, json.dumps(document, indent=1, ensure_ascii=False, default=str))
        for name, text in _logs(settings.log_folder):
            made.writestr(f"logs/{name}", text)
    return out.getvalue()


def _documents(
    settings: Settings, routing: Version, status: Mapping[str, Any], spool: Spool
) -> Iterator[tuple[str, Any]]:
    yield "status.json", scrub.scrubbed(status)
    yield "settings.json", scrub.scrubbed(settings.model_dump(mode="json"))
    data = routing.configuration.model_dump(mode="json")
    rules = [scrub.rule(one) for one in data.pop("rules", [])]
    yield "routing.json", {"version": routing.number, "time": routing.time, **scrub.scrubbed(data), "rules": rules}
    yield "alerts.json", [
        {"key": one.key, "severity": one.severity, "count": one.count, "state": one.state, "raised": one.raised,
         "cleared": one.cleared, "tells": one.tells} for one in spool.alerts.list(cleared_within_s=7 * 86_400.0)
    ]  # fmt: skip
    yield "checks.json", {"images": spool.accounting.balance(files=False), "files": looks.files(settings, spool)}
    yield "versions.json", {"packages": looks.packages(), "machine": looks.machine()}


def _logs(folder: Path) -> Iterator[tuple[str, str]]:
    files = sorted(folder.glob("*.log"))[:MOST_LOGS] if folder.is_dir() else []
    for file in files:
        if file.name == "supervisord.log":
            continue  # plain text of another program
        lines = [json.dumps(scrub.line(one), ensure_ascii=False) for one in _tail(file)]
        yield file.name, "\n".join(lines) + "\n"


def _tail(file: Path) -> Iterator[dict[str, Any]]:
    """The last lines that are ours; whatever else a program printed is only counted."""
    try:
        with file.open("rb") as opened:
            size = opened.seek(0, io.SEEK_END)
            opened.seek(max(0, size - TAIL_BYTES))
            raw = opened.read(TAIL_BYTES)
    except OSError:
        return
    odd = 0
    for text in raw.split(b"\n")[1 if size > TAIL_BYTES else 0 :]:
        try:
            told = json.loads(text)
        except ValueError:
            odd += bool(text.strip())
            continue
        if isinstance(told, dict):
            yield told
    if odd:
        yield {"action": "other lines", "lines": odd}

"""Whether a node serves: every actor says ready in its lock file, and the web page answers /readyz.
It must not start, stop or change anything.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
from pathlib import Path
from typing import Any

from protocol.addresses import with_port
from protocol.fsops import RealFs
from protocol.settings import Settings

ACTORS = ("receiver", "router", "cleaner", "bookkeeper")
_ANSWER_S = 2.0
_TAIL_BYTES = 16_384  # of a log: enough for a traceback
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


def expected(settings: Settings, dispatchers: int) -> list[str]:
    """Names of the lock files of everything that must run."""
    bus = ["bus"] if settings.bus.enabled else []
    return [*bus, *ACTORS, *(f"dispatcher-{number}" for number in range(dispatchers))]


def actor_state(run: Path, name: str) -> dict[str, Any] | None:
    """What the holder of a lock says about itself; None if nobody holds it."""
    fs, path = RealFs(), run / f"{name}.lock"
    if not fs.is_locked(path):
        return None
    try:
        told = json.loads(fs.lock_text(path))
    except ValueError:
        return {"state": "starting"}  # just being written
    return told if isinstance(told, dict) else {"state": "starting"}


def missing(settings: Settings, dispatchers: int) -> list[str]:
    """What does not serve yet, as `name (state)`; empty when everything does."""
    found = []
    for name in expected(settings, dispatchers):
        state = (actor_state(settings.run_folder, name) or {}).get("state")
        if state is None:
            why = last_complaint(settings.log_folder / f"{name}.log")
            found.append(f"{name} (not running{': ' if why else ''}{why})")
        elif state != "ready":
            found.append(f"{name} ({state})")
    answer = page_answer(settings)
    if answer != "ready":
        found.append(f"webgui ({answer})")
    return found


def last_complaint(log: Path) -> str:
    """Why a program ended, out of the end of its log: the reason or the last line of the traceback; empty if unknown."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    for line in reversed(lines):
        try:
            told = json.loads(line)
        except ValueError:
            if line.strip() and not line.startswith((" ", "{", "}")):
                return line.strip()  # a program that did not get as far as its log
            continue
        if isinstance(told, dict) and told.get("level") in ("error", "critical"):
            traceback = str(told.get("exception", "")).strip().splitlines()
            return str(told.get("reason") or (traceback[-1] if traceback else told.get("text", "")))
        return ""  # its last word is no complaint
    return ""


def page_answer(settings: Settings) -> str:
    """`ready`, or why the web page is not."""
    host, port = _ANY.get(settings.webgui.host, settings.webgui.host), settings.webgui.port
    connection: http.client.HTTPConnection
    if settings.webgui.tls.cert is not None:
        # Only whether it serves; nothing secret is sent.
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(host, port, timeout=_ANSWER_S, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=_ANSWER_S)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        told = _told(answer.read())
        if answer.status == 200 or (told.get("draining") is True and told.get("serving") is True):
            return "ready"  # drained: everything serves, only that somebody has the node refuse images
        why = told.get("reasons")
        return f"answers {answer.status}" + (f": {'; '.join(map(str, why))}" if why and isinstance(why, list) else "")
    except (OSError, http.client.HTTPException) as exc:
        return f"no answer: {type(exc).__name__}"
    finally:
        connection.close()


def _told(body: bytes) -> dict[str, Any]:
    """What /readyz says of the node; empty if it is something else that answers."""
    try:
        told = json.loads(body)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def page_url(settings: Settings) -> str:
    """Address of the web page for a browser on this machine."""
    scheme = "https" if settings.webgui.tls.cert is not None else "http"
    host = _ANY.get(settings.webgui.host, settings.webgui.host)
    return f"{scheme}://{with_port(host, settings.webgui.port)}/"


def ready_line(settings: Settings, dispatchers: int, token: str | None) -> str:
    """The one line that says it all; scripts wait for its first word."""
    receiver, url = settings.receiver, page_url(settings)
    parts = [
        f"ready  page {url}",
        f"DICOM {receiver.ae_title}@{with_port(_ANY.get(receiver.host, receiver.host), receiver.port)}",
    ]
    parts.append(f"dispatchers {dispatchers}")
    if token:
        parts.append(f"first set-up {url}setup?token={token}")
    return "  ".join(parts)

"""A target test as a process of its own, `python -m actors.targets.ladder_job`: one line of JSON on its standard input says which
target, {"target": its settings, "lately": [[SOP class UID, transfer syntax UID], ...]}; each step is told as a line of JSON.
It must not send an image.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

from pydantic import BaseModel, ValidationError

from actors.targets.ladder import climbing
from protocol.routing.targets import Target


class Asked(BaseModel):
    """Which target to test, and what it got lately."""

    target: Target
    lately: list[tuple[str, str]] = []


def main() -> int:
    """Climb the ladder of the target that standard input names."""
    try:
        asked = Asked.model_validate_json(sys.stdin.readline())
    except ValidationError:
        _say(error="these are no settings of a target")
        return 1
    steps: list[dict[str, Any]] = []
    _say(result={"steps": steps, "ok": None})
    for step in climbing(asked.target, asked.lately):
        steps.append(asdict(step))
        _say(result={"steps": steps, "ok": None})
    ok = all(step["ok"] for step in steps)
    _say(result={"steps": steps, "ok": ok})
    return 0


def _say(**told: Any) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

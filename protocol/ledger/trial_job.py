"""One whole backtest as a process of its own, for whoever must not do it himself (the web page).
It reads its job from standard input and writes lines of JSON; it must not read settings or keep anything.

`python -m protocol.ledger.trial_job`: one line in (see Trial.to_line), then lines `{"done", "total"}`, at last one `{"result"}`
or `{"error"}`. SIGTERM, or the end of who reads, ends it with its helpers.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from typing import Any, NoReturn

from protocol.errors import ScanpostError
from protocol.ledger.trial import Trial, run

TELL_EVERY_S = 0.2


def main() -> int:
    """Run the job that standard input names."""
    signal.signal(signal.SIGTERM, _leave)
    told = [0.0]

    def progress(done: int, total: int) -> None:
        if done == total or time.monotonic() - told[0] >= TELL_EVERY_S:
            told[0] = time.monotonic()
            _say(done=done, total=total)

    try:
        _say(result=run(Trial.from_line(sys.stdin.readline()), progress=progress))
    except ScanpostError as exc:
        _say(error=str(exc))
        return 1
    return 0


def _say(**told: Any) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def _leave(number: int, frame: object) -> NoReturn:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())

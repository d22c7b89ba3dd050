"""The process that changes images for one session of a target: `python -m actors.transcode.worker`, told by pipes.

Codecs are written in C and meet whatever scanners send: here they may crash, hang or want too much memory, and it costs one
image. It must not touch the spool, keep anything, or outlive an image that takes too long: the alarm kills it, whatever it
is doing. One JSON object a line, in and out.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import resource
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import Any, BinaryIO

FRAME_S = 60  # of one frame, or of the rest of a data set; then it counts as hanging
MEMORY_BYTES = 3 << 30  # beyond the image itself
TELL_EVERY_S = 1.0
DONE, REFUSED, DAMAGED, NO_ROOM = "done", "refused", "damaged", "no room"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_OUT_OF_MEMORY_FIRST = b"700"  # oom_score_adj: rather this process than what it works for


def main() -> int:
    """Serve until the other side is gone."""
    _be_modest()
    asked, answers = _pipes()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)  # codecs quote what they find
    for line in asked:
        order = json.loads(line)
        _limit_memory(order["length"])
        answer = _carry_out(order, _Voice(answers))
        signal.alarm(0)
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()
    return 0


class _Voice:
    """Says at most once a second that it goes on; each time the alarm is set anew."""

    def __init__(self, answers: BinaryIO) -> None:
        self._answers, self._due = answers, time.monotonic() + TELL_EVERY_S
        signal.alarm(FRAME_S)

    def moved(self) -> None:
        now = time.monotonic()
        if now >= self._due:
            self._due = now + TELL_EVERY_S
            signal.alarm(FRAME_S)
            self._answers.write(b"{}\n")
            self._answers.flush()


def _carry_out(order: dict[str, Any], voice: _Voice) -> dict[str, Any]:
    """Try one transfer syntax after the other, until one can hold this image."""
    from actors.transcode.change import CutFile, Job, change, words_of

    words = ""
    for syntax in order["to"]:
        job = Job(Path(order["path"]), order["offset"], order["length"], order["stored"], syntax)
        try:
            with open(order["out"], "wb", closefd=False) as out:
                out.seek(0)
                out.truncate()
                return {"is": DONE, "syntax": syntax, "bytes": change(job, out, voice.moved)}
        except OSError as exc:
            if exc.errno in _FULL:
                return {"is": NO_ROOM, "words": exc.strerror}
            return {"is": DAMAGED, "words": f"the image file cannot be read: {exc.strerror}"}
        except CutFile as exc:
            return {"is": DAMAGED, "words": str(exc)}
        except Exception as exc:
            words = words or words_of(exc)
    return {"is": REFUSED, "words": words}


def _pipes() -> tuple[BinaryIO, BinaryIO]:
    """Codecs print; nothing of that may get among the answers."""
    answers = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    return sys.stdin.buffer, answers


def _be_modest() -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    # Of a terminal, supervisord or systemd, which mean the whole group: the image under way is still sent, and the end of
    # stdin says when to end.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.nice(5)  # receiving goes first
        Path("/proc/self/oom_score_adj").write_bytes(_OUT_OF_MEMORY_FIRST)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold pixels


def _limit_memory(length: int) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    wanted = MEMORY_BYTES + length
    resource.setrlimit(resource.RLIMIT_AS, (wanted if most == resource.RLIM_INFINITY else min(wanted, most), most))


if __name__ == "__main__":
    sys.exit(main())

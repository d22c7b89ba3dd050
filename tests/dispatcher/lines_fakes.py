"""Sessions and a target for lines, without a node. They must not judge anything."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from actors.dispatcher.lines import Lines
from actors.dispatcher.supply import Supply
from actors.targets.interface import Answer
from protocol.spool.deliveries import ImageToSend
from protocol.spool.images import ImageFile

TAKEN = Answer(0, True)


class FakeSession:
    """Takes every image, but for what `script` does with its position."""

    def __init__(self, script: Callable[[int], None] = lambda position: None, usable: bool = True) -> None:
        self.script, self.usable = script, usable
        self.sent: list[tuple[int, int | None]] = []
        self.ends: list[str] = []

    def send(self, image: ImageFile, following: ImageFile | None = None) -> Answer:
        assert not self.ends
        position = number(image)
        self.script(position)
        self.sent.append((position, None if following is None else number(following)))
        return TAKEN

    def again(self, images: Any, alive: Callable[[], None]) -> bool:
        return self.usable

    def close(self) -> None:
        self.ends.append("close")

    def abort(self) -> None:
        self.ends.append("abort")


New = FakeSession | Exception | Callable[[Callable[[], None]], FakeSession]


def number(image: ImageFile) -> int:
    return int(image.sop_instance_uid)


def breaks(error: Exception, *positions: int) -> Callable[[int], None]:
    def script(position: int) -> None:
        if position in positions:
            raise error

    return script


class Attempt:
    """Lines over `count` images. `new` are the sessions that the target opens in turn, or errors instead, or what makes one,
    told how to give signs of life.
    """

    def __init__(self, count: int, *new: New, kept: tuple[FakeSession, ...] = (), **more: Any) -> None:
        images = [
            ImageToSend(at, ImageFile(at.to_bytes(16), Path("/x"), 0, 1, "1.2", str(at), "1.2")) for at in range(count)
        ]
        self.supply = Supply(images)
        self.left, self.lock = list(new), threading.Lock()
        self.heard: list[int] = []
        self.notes: list[tuple[str, dict[str, Any]]] = []
        more.setdefault("heard", self.hear)
        self.lines = Lines(
            self, [image.file for image in images], self.supply, ending=more.pop("ending", lambda: False),  # type: ignore[arg-type]
            alive=more.pop("alive", lambda: None), idle=list(kept), note=lambda *note: self.notes.append(note), **more,
        )  # fmt: skip

    def open(self, files: Any, alive: Callable[[], None]) -> FakeSession:
        assert files
        with self.lock:
            made = self.left.pop(0)
        if isinstance(made, Exception):
            raise made
        return made if isinstance(made, FakeSession) else made(alive)

    def hear(self, image: ImageToSend, answer: Answer) -> None:
        self.supply.answered(image)
        self.heard.append(image.position)

"""Provisional stand-ins for placing.py and part10.py of wt-d, with their interfaces. It must not stay."""

from __future__ import annotations

import re
from collections.abc import Iterator

from protocol.errors import UnreadableImage
from protocol.spool.images import ImageFile
from protocol.spool.part10 import FileMeta, encode

_PLACE = re.compile(r"\{([^{}]*)\}")
CHUNK_BYTES = 256 * 1024


class Placing:
    def __init__(self, layout: str) -> None:
        self._layout = layout

    def folder(self, image: ImageFile) -> str:
        values = getattr(image, "values", {})
        return _PLACE.sub(lambda m: re.sub(r"[^A-Za-z0-9._-]", "_", str(values.get(m[1], "none"))), self._layout)

    def name(self, image: ImageFile) -> str:
        return f"{self.folder(image)}/{image.sop_instance_uid}.dcm"


class Part10File:
    def __init__(self, image: ImageFile, source_ae: str = "") -> None:
        self._head = encode(
            FileMeta(image.sop_class_uid, image.sop_instance_uid, image.transfer_syntax_uid, "", "", "")
        )
        self.size = len(self._head) + image.bytes
        try:
            self._file = image.path.open("rb")
            self._file.seek(image.offset)
        except OSError as exc:
            raise UnreadableImage("the image file cannot be opened") from exc

    def __enter__(self) -> Part10File:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, size: int = CHUNK_BYTES) -> bytes:
        if self._head:
            data, self._head = self._head, b""
            return data
        return self._file.read(min(size, CHUNK_BYTES))

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.read, b"")

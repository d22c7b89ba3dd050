"""Writes the frozen example of every event type that has none yet: `python tests/wire/freeze.py`.
It never changes an existing one: those prove that what earlier versions wrote can still be read.
"""

from __future__ import annotations

import dataclasses
import uuid
from pathlib import Path
from typing import Any

from protocol.wire import codec, events  # noqa: F401
from protocol.wire.messages import REGISTRY, Event, envelope

FIXTURES = Path(__file__).parent / "fixtures"
SAMPLES: dict[str, Any] = {
    "int": 7,
    "float": 1.5,
    "str": "word",
    "list[str]": ["one", "two"],
    "list[list[Any]]": [["00ff", 0]],
    "dict[str, Any]": {"id": 1},
    "dict[str, int]": {"found": 2},
    "dict[str, str]": {"rule": "true"},
    "list[list[str]]": [["rule", "target"]],
    "dict[str, float]": {"depth": 3.0},
}


def place(cls: type[Event]) -> Path:
    return FIXTURES / f"{cls.TYPE}.{cls.VERSION}.msgpack"


def example(cls: type[Event]) -> bytes:
    body = cls(**{field.name: SAMPLES[str(field.type)] for field in dataclasses.fields(cls)})
    recorded = cls.ROOT == "ev"
    one = dataclasses.replace(
        envelope(body, source="/node/actor/0", time=1_800_000_000.25, correlation="7"),
        id=str(uuid.uuid5(uuid.NAMESPACE_OID, cls.TYPE)),
        epoch=int(recorded),
        seq=42 * recorded,
    )
    return codec.pack(one.to_map())


if __name__ == "__main__":
    FIXTURES.mkdir(exist_ok=True)
    for cls in REGISTRY.values():
        if not place(cls).exists():
            place(cls).write_bytes(example(cls))
            print(f"new: {place(cls).name}")

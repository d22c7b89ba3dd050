"""Rules that somebody is not done with: a JSON file each below config/drafts, for one person. Nothing acts on a draft.

It must not judge a rule, and a draft that cannot be read is none.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from dataclasses import asdict, field
from pathlib import Path
from typing import Any

from protocol.fsops import RealFs
from protocol.records import record
from protocol.routing.fields import NAME_PATTERN

MOST = 50  # of one person; the oldest goes
LONGEST = 4 << 20  # bytes


@record
class Draft:
    """A rule under work. `was`: the rule that it changes, empty for a new one; `base`: the version that it started from.

    `saved`: seconds UTC. `backtest`: the numbers of the last one, empty: none.
    """

    name: str
    rule: dict[str, Any]
    was: str
    base: int
    saved: float
    backtest: dict[str, Any] = field(default_factory=dict)


class Drafts:
    """The drafts of one person."""

    def __init__(self, config: Path, owner: str) -> None:
        # A name may hold anything that a person typed; the folder's holds hex digits.
        self._folder = config / "drafts" / hashlib.sha256(owner.encode()).hexdigest()[:16]
        self._fs = RealFs()

    def all(self) -> list[Draft]:
        """Newest first."""
        try:
            names = self._fs.listdir(self._folder)
        except FileNotFoundError:
            return []
        found = [self.find(name.removesuffix(".json")) for name in names if name.endswith(".json")]
        return sorted((one for one in found if one is not None), key=lambda one: -one.saved)

    def find(self, name: str) -> Draft | None:
        """The draft of this name."""
        if not re.match(NAME_PATTERN, name):
            return None
        try:
            told = json.loads(self._fs.read_bytes(self._path(name)))
            draft = Draft(**told)
        except (OSError, ValueError, TypeError):
            return None
        return draft if draft.name == name and isinstance(draft.rule, dict) else None

    def save(self, draft: Draft) -> None:
        """Keep it; one of that name is replaced. Raises OSError."""
        data = json.dumps(asdict(draft), ensure_ascii=False).encode()
        if len(data) > LONGEST:
            raise OSError("the draft is larger than 4 MB")
        self._fs.makedirs(self._folder)
        temporary = self._folder / f".{uuid.uuid4().hex}.tmp"
        self._fs.write_new(temporary, data)
        self._fs.rename(temporary, self._path(draft.name))
        self._fs.sync_dir(self._folder)
        for old in self.all()[MOST:]:
            self.forget(old.name)

    def forget(self, name: str) -> None:
        """Drop it, if it is there."""
        if re.match(NAME_PATTERN, name):
            try:
                self._fs.unlink(self._path(name))
            except FileNotFoundError:
                return

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"

"""What was sent does not fit: the one exception for it. It must not know requests."""

from __future__ import annotations

from collections.abc import Mapping


class Invalid(Exception):
    """What was sent does not fit: field -> message. Answered with 422; a form shows it beside the fields."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self.fields = dict(fields)
        super().__init__("; ".join(f"{name}: {text}" if name else text for name, text in self.fields.items()))

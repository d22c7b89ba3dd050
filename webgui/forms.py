"""Reading forms. It must not judge what they say."""

from __future__ import annotations

from collections.abc import Mapping


def text_field(form: Mapping[str, object], name: str) -> str:
    """A text field; nothing if it is missing or a file."""
    value = form.get(name, "")
    return value if isinstance(value, str) else ""

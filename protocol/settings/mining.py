"""The section [mining] of the settings: what the ledger keeps of each series for data mining. It must not read files."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from protocol.header.mined import mined_keys
from protocol.settings.fields import Section, refuse


def _mined(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        try:
            mined_keys((name,))
        except ValueError as exc:
            raise refuse(
                f"{name!r} is no element", 'write a keyword, "0019,100C", a path "A.B", or "0019,xx0C CREATOR"'
            ) from exc
    return names


class Mining(Section):
    """What the ledger keeps of each series for data mining, besides its fixed columns."""

    extra_tags: Annotated[tuple[str, ...], Field(max_length=200), AfterValidator(_mined)] = ()

"""Writes what a person did at the command line into the audit: who, what, to what, before and after, why.

For what is done at once (configuration, programs, files of the node). Not for acts that are asked of the spool (`asking.act`,
alerts): the bookkeeper carries those over, see protocol/accounts/carrying.py. It must not stop what was done already.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from scanpost.asking import node_there, who
from scanpost.common import say

if TYPE_CHECKING:
    from protocol.routing.difference import Change
    from protocol.settings import Settings


def audited(
    settings: Settings, action: str, object: str, before: Any = None, after: Any = None, reason: str = ""
) -> None:  # fmt: skip
    """One entry; values are JSON, without secrets and patient data. A fault of the file is told, and that is all."""
    told = {**(after or {}), "reason": reason} if reason else after
    _write(settings, [(action, object, before, told)])


def audited_first(settings: Settings, action: str, object: str, after: Any) -> None:
    """One entry for what takes data out, before it does: what cannot be written down is not done. Raises AccountError, SpoolMissing."""
    from protocol.accounts import Accounts
    from protocol.errors import AccountError

    node_there(settings)
    try:
        accounts = Accounts(settings.home / "accounts.sqlite3")
        try:
            accounts.record(f"cli:{who()}", "", action, object, None, after)
        finally:
            accounts.close()
    except OSError as exc:
        raise AccountError(
            f"this could not be written into the audit, so it is not done: {exc.strerror or exc}"
        ) from exc


def audited_changes(settings: Settings, changes: Iterable[Change], version: int, reason: str) -> None:
    """The entries of a version of the routing configuration that was published: one for each part that changed."""
    from protocol.routing.audited import entries

    _write(settings, entries(tuple(changes), version, reason))


def _write(settings: Settings, entries: Iterable[tuple[str, str, Any, Any]]) -> None:
    from protocol.accounts import Accounts
    from protocol.errors import AccountError

    try:
        settings.home.mkdir(0o750, parents=True, exist_ok=True)
        accounts = Accounts(settings.home / "accounts.sqlite3")
        try:
            for action, object, before, after in entries:
                accounts.record(f"cli:{who()}", "", action, object, before, after)
        finally:
            accounts.close()
    except (AccountError, OSError) as exc:
        say(f"it is done, but could not be written into the audit: {exc}")

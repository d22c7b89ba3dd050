"""The accounts file of a node, opened for one command. It must not know any command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from scanpost.asking import node_there
from scanpost.common import Options

if TYPE_CHECKING:
    from protocol.accounts import Accounts


@contextmanager
def opened_accounts(options: Options, *, makes: bool = False) -> Iterator[Accounts]:
    """The accounts of the node, closed afterwards. Raises SpoolMissing if there is no node, unless the command `makes` one."""
    from protocol.accounts import Accounts

    settings = options.settings()
    if not makes:
        node_there(settings)
    home = settings.home
    home.mkdir(0o750, parents=True, exist_ok=True)
    accounts = Accounts(home / "accounts.sqlite3")
    try:
        yield accounts
    finally:
        accounts.close()

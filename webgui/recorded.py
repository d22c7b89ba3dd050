"""Changes that people make on pages go into the audit: who, from where, what, before and after. It must not carry anything out.

Acts that actors carry out are commands in the spool and recorded as such.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from webgui.auth import address, in_thread
from webgui.keys import ACCOUNTS, SESSION


async def record(request: web.Request, action: str, object: str, before: Any = None, after: Any = None) -> None:
    """Write one entry; `before` and `after` are JSON values without secrets or patient data."""
    accounts, who, where = request.app[ACCOUNTS], request[SESSION].who, address(request)
    await in_thread(lambda: accounts.record(who, where, action, object, before, after))

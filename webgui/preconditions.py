"""Changes by programs on a condition (RFC 9110 section 13.1): If-Match and If-None-Match of PUT and DELETE are held against the
settings of one target, group, source or rule, so that the second of two programs replaces nothing unseen.

Forms have their own way (overtaking). It must not know areas.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from aiohttp import ETag, hdrs, web

from protocol.routing.parse import to_data
from protocol.routing.publishing import Data, Edit
from protocol.routing.versions import RoutingVersions, Version
from webgui import answers, publishing
from webgui.changers import changers
from webgui.keys import NODE

_DIGITS = 32


class _Differs(Exception):
    """The condition does not hold; nothing was published."""


def tagged(body: Any, part: Data) -> web.Response:
    """JSON about a part, with the entity tag of its settings: figures and states beside them change all the time, and
    whoever puts settings back should not fail for that. Nothing is kept by caches, which a tag could mislead."""
    response = answers.given(body)
    response.etag = _tag(part)
    return response


async def publish(request: web.Request, edit: Edit, section: str, name: str, reason: str) -> publishing.Made:
    """Publish an edit of a part, if what the request says about it is still so when it is written.

    Raises HTTPPreconditionFailed, HTTPBadRequest, and as publishing.publish does.
    """
    _refuse_unreadable(request)
    node = request.app[NODE]

    def guarded(data: Data) -> Data:
        if not _holds(request, _part(data, section, name)):
            raise _Differs
        return edit(data)

    try:
        return await publishing.publish(request, guarded, reason)
    except _Differs:
        text = await node.run(lambda: _told(node.routing, section, name))
    raise web.HTTPPreconditionFailed(text=text)


def _refuse_unreadable(request: web.Request) -> None:
    for name, found in ((hdrs.IF_MATCH, request.if_match), (hdrs.IF_NONE_MATCH, request.if_none_match)):
        # Without this, an empty header would be none: unprotected, where somebody meant to be.
        if name in request.headers and not found:
            raise web.HTTPBadRequest(text=f'{name} holds no entity tag: send it as it came, with its quotes ("...").')


def _holds(request: web.Request, part: Data | None) -> bool:
    must, must_not = request.if_match, request.if_none_match
    if must is not None and not any(_is(one, part) and not one.is_weak for one in must):
        return False
    return must_not is None or not any(_is(one, part) for one in must_not)


def _is(tag: ETag, part: Data | None) -> bool:
    return part is not None and tag.value in ("*", _tag(part))


def _tag(part: Data) -> str:
    text = json.dumps(part, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def _part(data: Data, section: str, name: str) -> Data | None:
    parts = data[section]
    if section == "rules":
        parts = {one["name"]: one for one in parts}
    found: Data | None = parts.get(name)
    return found


def _told(versions: RoutingVersions, section: str, name: str) -> str:
    def part(version: Version) -> Data | None:
        return _part(to_data(version.configuration), section, name)

    now = versions.current()
    made = changers(versions, now, 0, part)
    what = f"{section[:-1]} '{name}'"
    if part(now) is None:
        text = f"There is no {what}" + (f" any more: {made[0].author} removed or renamed it" if made else "")
    else:
        text = f"The {what} is not as it was read" + (f": {made[0].author} changed it last" if made else "")
    if made:
        text += f", in version {made[0].number}" + (f" ({made[0].reason})" if made[0].reason else "")
    return f"{text}. Nothing was changed; read it again first."

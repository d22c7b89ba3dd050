"""Static files, read once at start and served under a hash of their content. It must not read files per request.

The hash in the URL makes every answer immutable, so browsers ask once per release.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

_FOLDER = Path(__file__).parent / "static"
_TEXT = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".txt": "text/plain"}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file, ready to send."""

    body: bytes
    zipped: bytes
    content_type: str
    digest: str


class Assets:
    """All files of a folder by their path."""

    def __init__(self, folder: Path = _FOLDER) -> None:
        self._files = {
            path.relative_to(folder).as_posix(): _load(path) for path in sorted(folder.rglob("*")) if path.is_file()
        }

    def url(self, name: str) -> str:
        """The address of a file. Raises KeyError for an unknown one: a template's mistake."""
        return f"/static/{self._files[name].digest}/{name}"

    def answer(self, request: web.Request) -> web.Response:
        """The file that the request names. Raises HTTPNotFound."""
        asset = self._files.get(request.match_info["name"])
        if asset is None:
            raise web.HTTPNotFound
        headers = {"Vary": "Accept-Encoding"}
        if asset.digest == request.match_info["digest"]:
            headers["Cache-Control"] = "public, max-age=31536000, immutable"
        body = asset.body
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            headers["Content-Encoding"], body = "gzip", asset.zipped
        return web.Response(body=body, content_type=asset.content_type, charset="utf-8", headers=headers)


def _load(path: Path) -> Asset:
    body = path.read_bytes()
    kind = _TEXT.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return Asset(body, gzip.compress(body, mtime=0), kind, hashlib.sha256(body).hexdigest()[:8])

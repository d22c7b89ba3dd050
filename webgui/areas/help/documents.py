"""The documents of docs/ as pages: found, and made into HTML. It must not let a document bring markup or scripts of its own.

CommonMark with tables; HTML in a document is shown as text. A link leads to another document, to a page of ours or by https
elsewhere; images are left out.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from protocol.errors import NotFound
from protocol.installed import places
from protocol.records import record

_NAME = re.compile(r"[a-z][a-z0-9-]{0,40}\Z")
_DETAILS = re.compile(r"^</?details>(?:<summary>(.*?)</summary>)?\s*$", re.M)


@record
class Document:
    """One document: its title, and the page's body."""

    name: str
    title: str
    body: Markup


def folder() -> Path | None:
    """Where the documents are, if they are there."""
    return next((place for place in places("docs") if (place / "guarantees.md").is_file()), None)


@functools.cache
def titles() -> dict[str, str]:
    """Name -> title of every document there is."""
    place = folder()
    files = sorted(place.glob("*.md")) if place is not None else []
    return {file.stem: _title(file.read_text("utf-8"), file.stem) for file in files if _NAME.match(file.stem)}


@functools.lru_cache(maxsize=64)
def document(name: str) -> Document:
    """One document. Raises NotFound."""
    place = folder()
    if place is None or name not in titles():
        raise NotFound(f"there is no document {name[:60]!r}")
    text = (place / f"{name}.md").read_text("utf-8")
    return Document(name, _title(text, name), render(text, frozenset(titles())))


def _is_good_link(url: str) -> bool:
    return url.startswith(("https://", "/help", "#")) or not re.match(r"[a-z][a-z0-9+.-]*:|//", url, re.I)


def render(text: str, known: frozenset[str] = frozenset()) -> Markup:
    """HTML of a document; `known` are the names that its links may lead to. Its first heading is left to the page."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    parser.validateLink = _is_good_link  # type: ignore[method-assign]
    tokens = parser.parse(_DETAILS.sub(lambda match: f"**{match[1]}**\n" if match[1] else "", text))
    if tokens and tokens[0].type == "heading_open" and tokens[0].tag == "h1":
        tokens = tokens[3:]
    _prepare(tokens, known)
    return Markup(parser.renderer.render(tokens, parser.options, {}))


def _prepare(tokens: Sequence[Token], known: frozenset[str]) -> None:
    """Headings get anchors, links their places, tables a frame that scrolls by itself."""
    for at, token in enumerate(tokens):
        if token.type == "heading_open":
            token.attrSet("id", slug(tokens[at + 1].content))
        elif token.type == "table_open":
            token.attrSet("class", "doc")
            token.attrSet("tabindex", "0")
        elif token.type in ("fence", "code_block"):
            token.attrSet("tabindex", "0")
        for inner in token.children or ():
            if inner.type == "link_open":
                inner.attrSet("href", address(str(inner.attrGet("href") or ""), known))


def address(url: str, known: frozenset[str]) -> str:
    """Where a link of a document leads from our page."""
    if url.startswith(("https://", "#", "/help")):
        return url
    path, _, part = url.partition("#")
    name = Path(path).stem
    if path.endswith(".md") and name in known and "/" not in path.removeprefix("./"):
        return f"/help/docs/{name}" + (f"#{part}" if part else "")
    return "/help"


def slug(text: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")


def _title(text: str, name: str) -> str:
    first = next((line for line in text.splitlines() if line.startswith("# ")), f"# {name}")
    return first[2:].replace("`", "").strip()

"""What a rule may name: keywords, paths into sequences, tag( ); each becomes a Name with its key in the header's values.

It must not read values; it refuses a name that no header can have.
"""

from __future__ import annotations

import ast
import re
from typing import cast

from protocol.errors import RuleSyntaxError
from protocol.header.wanted import MAX_PATH, compile_wanted, private_name
from protocol.routing.rules import names, refusals
from protocol.routing.rules.line import Line
from protocol.routing.rules.names import KnownName
from protocol.routing.rules.nodes import Name
from protocol.routing.rules.values import Kind

READABLE = ("text", "number", "date", "time", "datetime", "any")
_TAG = re.compile(r"\(?\s*([0-9A-F]{4})\s*,?\s*((?:[0-9A-F]{2}|XX)[0-9A-F]{2})\s*\)?", re.IGNORECASE | re.ASCII)
_TAG_FORM = "write tag('0019,100C'), or tag('0019,100C', creator='...') for a private element"
_REFUSED = {
    "binary": ("is binary", "a rule cannot read it"),
    "sequence": ("is a sequence", "name an element in it: {}.CodeValue, for example"),
    "outside": ("is no element of an image's data set", "for the sender write SenderAET, for the receiver ReceiverAET"),
}


class References:
    """Reads the names of one rule and remembers them in `found`, by their keys in the values."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self.found: set[str] = set()

    def name(self, node: ast.Name) -> Name:
        """A keyword or an origin name. Raises RuleSyntaxError."""
        known = self._known(node, node.id)
        self._check(node, known)
        self._line.edits.append((self._line.start(node), self._line.end(node), known.name))
        return self._made(node, known.name, known.title, known.kind)

    def path(self, node: ast.Attribute) -> Name:
        """Sequence.Sequence.Keyword: into the first items. Raises RuleSyntaxError."""
        parts = self._parts(node)
        if parts is None:
            raise self._line.refused_kind(node)
        if len(parts) > MAX_PATH:
            cure = "no object nests that deep"
            raise self._line.refused(node, f"a path has at most {MAX_PATH} names", cure)
        found = [self._part(node, *part, is_last=at == len(parts)) for at, part in enumerate(parts, 1)]
        for (_, start), known in zip(parts, found, strict=True):
            self._line.edits.append((start, start + len(known.name), known.name))
        title = " of ".join(known.title for known in reversed(found))
        return self._made(node, ".".join(known.name for known in found), title, found[-1].kind)

    def tag(self, node: ast.Call) -> Name:
        """tag('gggg,eeee') and tag('gggg,eeee', creator='...'). Raises RuleSyntaxError."""
        creator = self._creator(node)
        place = node.args[0] if len(node.args) == 1 else node
        text = place.value if isinstance(place, ast.Constant) and isinstance(place.value, str) else ""
        match = _TAG.fullmatch(text)
        if match is None or (creator is None and "x" in text.lower()):
            raise self._line.refused(place, "this is no tag", _TAG_FORM)
        group, element = int(match[1], 16), match[2]
        written = f"'{match[1].upper()},{element.upper().replace('X', 'x')}'"
        self._line.edits.append((self._line.start(place), self._line.end(place), written))
        if creator is None:
            known = names.by_tag(group << 16 | int(element, 16))
            self._check(place, known)
            if "," not in known.name:
                self._line.edits[-1] = (self._line.start(node), self._line.end(node), known.name)
            return self._made(node, known.name, known.title, known.kind)
        return self._private(node, group, int(element[2:], 16), creator)

    def _private(self, node: ast.Call, group: int, last: int, creator: str) -> Name:
        key = private_name(group, last, creator)
        try:
            compile_wanted(frozenset([key]))
        except ValueError as exc:
            cure = "a private group is odd; leave `creator` out for other elements" if group % 2 == 0 else _TAG_FORM
            raise self._line.refused(node, "this is no private element", cure) from exc
        return self._made(node, key, f"tag ({group:04X},xx{last:02X}) of {creator}", "any")

    def _creator(self, node: ast.Call) -> str | None:
        for keyword in node.keywords:
            value = keyword.value
            given = value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""
            if keyword.arg != "creator" or not given.strip() or "\\" in given or len(node.keywords) > 1:
                raise self._line.refused(value, "tag() takes no such argument", _TAG_FORM)
            return given.strip()
        return None

    # --- one name

    def _known(self, node: ast.expr, name: str, position: int | None = None, only: str = "") -> KnownName:
        known = names.find(name)
        if known is None:
            message, cure = refusals.of_name(name, only)
            raise RuleSyntaxError(message, self._line.start(node) if position is None else position, cure)
        return known

    def _part(self, node: ast.expr, name: str, start: int, is_last: bool) -> KnownName:
        known = self._known(node, name, start, "" if is_last else "sequence")
        if is_last:
            if known.is_origin:
                cure = f"write {known.name} alone"
                raise RuleSyntaxError(f"{known.name} does not stand in a sequence", start, cure)
            self._check(node, known, start)
        elif known.kind != "sequence":
            raise RuleSyntaxError(
                f"{known.name} is no sequence", start, f"write {known.name} alone, or a sequence before the dot"
            )
        return known

    def _check(self, node: ast.expr, known: KnownName, position: int | None = None) -> None:
        if known.kind not in READABLE:
            message, cure = _REFUSED[known.kind]
            place = self._line.start(node) if position is None else position
            raise RuleSyntaxError(f"{known.name} {message}", place, cure.format(known.name))

    def _parts(self, node: ast.Attribute) -> list[tuple[str, int]] | None:
        """The names of a path with their places, or None if it is none."""
        parts: list[tuple[str, int]] = []
        below: ast.expr = node
        while isinstance(below, ast.Attribute):
            parts.append((below.attr, self._line.end(below) - len(below.attr)))
            below = below.value
        if not isinstance(below, ast.Name):
            return None
        known = names.find(below.id)
        if known is not None and known.kind != "sequence" and len(parts) == 1 and names.find(parts[0][0]) is None:
            return None  # Modality.lower: no path was meant
        return [(below.id, self._line.start(below)), *reversed(parts)]

    def _made(self, node: ast.expr, name: str, title: str, kind: str) -> Name:
        self.found.add(name)
        return Name(self._line.of(node), name, title, cast(Kind, kind))

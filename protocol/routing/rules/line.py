"""The text of a rule as one line with places in it, checked for characters that mislead, read into Python's tree.

It must not judge what the tree says (`reader` does), nor evaluate it.
"""

from __future__ import annotations

import ast
import gc
import io
import re
import threading
import tokenize
import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from protocol.errors import RuleSyntaxError
from protocol.routing.rules import refusals

LIMIT_DEPTH = 40
_LIMIT_TREE = 150  # levels of Python's tree, before ours are counted: what follows may recurse
_READING = threading.Lock()  # what `_undisturbed` changes belongs to the whole process
_BREAKS = re.compile(r"[\n\r\f\v\t]")
# Text that a person cannot see, or that turns round what stands beside it. The two joiners belong to some scripts.
_NO_CHARACTER = re.compile(
    "[\0-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_OLD_NAME = re.compile(r"@(\w+)@|%(\w+)%", re.ASCII)
_QUOTED = re.compile(r"'''.*?'''|\"\"\".*?\"\"\"|'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"")


# What can put one level of Python's tree into another, beside brackets; a rule has a handful of them.
_NESTING = re.compile(r"\*\*|//|<<|>>|:=|[-+*/%@&|^~.]|\b(?:not|if|lambda|await|for)\b")
_LIMIT_NESTING, _LIMIT_BRACKETS = 300, 200  # at 200 brackets Python itself refuses, in good order
_INTERPOLATED = re.compile(r"(?<![\w'\"])(?:fr?|rf)['\"]", re.IGNORECASE)


# A quote that nobody closes goes on to the end: to look for its end from each quote on would take for ever.
_KEPT = re.compile(
    r"('''.*?(?:'''|\Z)|\"\"\".*?(?:\"\"\"|\Z)|'(?:\\.|[^'\\]|\\\Z)*+(?:'|\Z)|\"(?:\\.|[^\"\\]|\\\Z)*+(?:\"|\Z))",
    re.DOTALL,
)


def one_line(text: str) -> str:
    """The same rule as people keep it: on one line and without needless blanks. In quotes only line breaks become blanks."""
    parts = [
        re.sub(r"\r\n|[\r\n\f\v\t]", " ", part) if at % 2 else re.sub(r"\s+", " ", part)
        for at, part in enumerate(_KEPT.split(text))
    ]
    return "".join(parts).strip()


class Line:
    """One rule's text: positions in it are those of the text as it was written, in characters.

    `edits` are what makes the canonical text of it: (start, end, text instead). `old_names` are the starts of names written
    as @Name@.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.edits: list[tuple[int, int, str]] = []
        self.old_names: set[int] = set()
        # one line of the same length, so that a rule may be written over several lines and positions stay right
        plain = self._without_signs(_BREAKS.sub(" ", text))
        self._indent = len(plain) - len(plain.lstrip(" "))
        self._line = plain
        self._bytes = plain.encode("utf-8", "surrogatepass")

    def _without_signs(self, line: str) -> str:
        """@Modality@ of the original mercure becomes the name alone; the signs leave blanks."""
        quoted = [match.span() for match in _QUOTED.finditer(line)]
        for match in _OLD_NAME.finditer(line):
            start, end = match.span()
            if any(first <= start < last for first, last in quoted):
                continue
            self.old_names.add(start + 1)
            self.edits += [(start, start + 1, ""), (end - 1, end, "")]
            line = f"{line[:start]} {line[start + 1 : end - 1]} {line[end:]}"
        return line

    # --- places

    def start(self, node: ast.expr) -> int:
        """Where a node begins."""
        return self.position(node.col_offset)

    def end(self, node: ast.expr) -> int:
        """Where it ends."""
        return self.position(node.end_col_offset or 0)

    def position(self, column: int) -> int:
        """The place in the text of a column as ast counts it."""
        return len(self._bytes[: self._indent + column].decode())  # ast counts bytes, people count characters

    def column(self, position: int) -> int:
        """The column as ast counts it, of a place in the text."""
        return len(self._line[self._indent : position].encode())

    def piece(self, start: int, end: int) -> str:
        """A part of the line, with blanks for line breaks."""
        return self._line[start:end]

    def of(self, node: ast.expr) -> str:
        """The text of a node."""
        return self.piece(self.start(node), self.end(node))

    def refused(self, node: ast.expr, message: str, cure: str = "") -> RuleSyntaxError:
        """The error that says so at the node's place."""
        return RuleSyntaxError(message, self.start(node), cure)

    def refused_kind(self, node: ast.expr) -> RuleSyntaxError:
        """The error for a kind of expression that a rule may not use."""
        return self.refused(node, *refusals.of_node(node))

    def canonical(self) -> str:
        """The text with all edits: names in canonical letters, foreign forms in ours."""
        text = self.text
        placed = [(start, end, order, instead) for order, (start, end, instead) in enumerate(self.edits)]
        for start, end, _, instead in sorted(placed, reverse=True):
            text = text[:start] + instead + text[end:]
        return text

    # --- Python's tree

    def parse(self) -> ast.expr:
        """Python's tree of the line. Raises RuleSyntaxError."""
        odd = _NO_CHARACTER.search(self._line)
        if odd:
            message = f"the character U+{ord(odd[0]):04X} cannot stand in a rule"
            raise RuleSyntaxError(message, odd.start(), "leave it out: it cannot be seen")
        self._refuse_nesting()
        body = self._grammar()
        self._refuse_hidden()
        self._refuse_depth(body)
        return body

    def _refuse_nesting(self) -> None:
        """Keep what would nest too deeply from Python: where its own reading gives up for depth (3.11), it may read nothing
        any more for the rest of the process.
        """
        plain = self._line if _INTERPOLATED.search(self._line) else _QUOTED.sub(lambda m: "_" * len(m[0]), self._line)
        depth = levels = 0
        for match in re.finditer(rf"[(\[{{]|[)\]}}]|{_NESTING.pattern}", plain):
            if match[0] in "([{":
                depth += 1
            elif match[0] in ")]}":
                depth -= 1
            else:
                levels += 1
            if depth > _LIMIT_BRACKETS or levels > _LIMIT_NESTING:
                raise RuleSyntaxError("nested too deeply", match.start(), "split it into several rules")

    def _grammar(self) -> ast.expr:
        """Python's own reading."""
        try:
            with _undisturbed():
                return ast.parse(self._line[self._indent :], mode="eval").body
        except SyntaxError as exc:
            message, cure = refusals.of_grammar(exc.msg or "", self._line)
            at_end = (exc.lineno or 1) > 1 or not exc.offset
            position = len(self._line.rstrip()) if at_end else (exc.offset or 1) - 1 + self._indent
            raise RuleSyntaxError(message, min(position, len(self._line)), cure) from exc
        except ValueError as exc:  # an integer of thousands of digits
            raise RuleSyntaxError("cannot be read", self._indent, "use smaller numbers") from exc
        except (RecursionError, MemoryError, SystemError) as exc:
            message = f"nested deeper than {LIMIT_DEPTH} levels"
            raise RuleSyntaxError(message, self._indent, "split it into several rules") from exc

    def _tokens(self) -> Iterator[tokenize.TokenInfo]:
        return tokenize.generate_tokens(io.StringIO(self._line[self._indent :]).readline)

    def _refuse_hidden(self) -> None:
        """Refuse what Python reads in silence: a comment hides the rest of a rule, two texts in a row are joined, letters
        of other alphabets become (or look like) the ones of a name.
        """
        before = tokenize.ENCODING
        for token in self._tokens():
            position = self._indent + token.start[1]
            if token.type == tokenize.COMMENT:
                raise RuleSyntaxError("a comment", position, "write it into the rule's `comment`")
            if token.type == tokenize.STRING == before:
                raise RuleSyntaxError("two texts side by side", position, "put a comma between them")
            if token.type == tokenize.NAME and not token.string.isascii():
                at = next(at for at, letter in enumerate(token.string) if not letter.isascii())
                name = unicodedata.name(token.string[at], f"U+{ord(token.string[at]):04X}")
                raise RuleSyntaxError(f"a name with {name}", position + at, "names have the letters A to Z only")
            before = token.type

    def _refuse_depth(self, body: ast.expr) -> None:
        below: list[tuple[ast.AST, int]] = [(body, 1)]
        while below:
            node, depth = below.pop()
            if depth > _LIMIT_TREE and isinstance(node, ast.expr):
                raise self.refused(node, f"nested deeper than {LIMIT_DEPTH} levels", "split it into several rules")
            below.extend((child, depth + 1) for child in ast.iter_child_nodes(node))


@contextmanager
def _undisturbed() -> Iterator[None]:
    """While Python reads a rule: its warnings (an odd escape, `1in`) would print parts of the rule to stderr, and what the
    garbage collector ends in the middle may let Python read something else (a traceback), which 3.11 takes for a fault.
    """
    with _READING, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        collecting = gc.isenabled()
        gc.disable()
        try:
            yield
        finally:
            if collecting:
                gc.enable()

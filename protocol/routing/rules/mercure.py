"""Rules of the original mercure, as people paste them: `tags.Modality`, `@Modality@`, `.lower()`, `float( )`, `|` and `&`.

It turns their tree and their text into our own forms and must not judge anything: what it does not know stays as it is.
"""

from __future__ import annotations

import ast
from typing import TypeVar

from protocol.routing.rules import names
from protocol.routing.rules.line import Line
from protocol.routing.rules.values import number_of

_BUILTINS = {"float": "number", "int": "number", "str": "text", "len": "length"}
_METHODS = {"lower": 0, "upper": 0, "startswith": 1, "endswith": 1}
_JOINS: dict[type[ast.operator], tuple[str, str]] = {ast.BitOr: ("|", "or"), ast.BitAnd: ("&", "and")}
_CONDITIONS = (ast.Compare, ast.BoolOp, ast.Call, ast.IfExp)


Node = TypeVar("Node", bound=ast.expr)


def translate(line: Line, body: ast.expr) -> ast.expr:
    """The tree in our forms; `line.edits` then make the text so. Places stay those of the text as it was written."""
    translated = _Translator(line, body).visit(body)
    assert isinstance(translated, ast.expr)
    return translated


class _Translator(ast.NodeTransformer):
    """Edits at the same place must be made from the outside in, so each node writes its own before it visits others."""

    def __init__(self, line: Line, body: ast.expr) -> None:
        self._line, self._body = line, body
        self._foreign: set[int] = set()  # columns of names that were written in mercure's way

    # --- names

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if self._line.start(node) in self._line.old_names:
            self._foreign.add(node.col_offset)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if isinstance(node.value, ast.Name) and node.value.id == "tags":
            at = self._line.end(node) - len(node.attr)
            self._line.edits.append((self._line.start(node), at, ""))
            return self._foreign_name(node, node.attr, self._line.column(at), node.end_col_offset or 0)
        return self.generic_visit(node)  # type: ignore[return-value]

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        """tags['Modality']"""
        key = _text(node.slice)
        if isinstance(node.value, ast.Name) and node.value.id == "tags" and key is not None and key.isidentifier():
            return self._foreign_name(node, key, node.col_offset, node.end_col_offset or 0)
        return self.generic_visit(node)  # type: ignore[return-value]

    def _foreign_name(self, node: ast.expr, name: str, column: int, end: int) -> ast.Name:
        self._foreign.add(column)
        return _placed(ast.Name(name), node, column, end)

    # --- calls

    def visit_Call(self, node: ast.Call) -> ast.expr:
        if node.keywords:
            return self.generic_visit(node)  # type: ignore[return-value]
        match node.func:
            case ast.Name(id=name) if name in _BUILTINS:
                self._line.edits.append((self._line.start(node.func), self._line.end(node.func), _BUILTINS[name]))
                node.func.id = _BUILTINS[name]
            case ast.Attribute(attr="strip") if not node.args:  # padding is stripped anyway
                self._line.edits.append((self._dot(node.func), self._line.end(node), ""))
                return self._visited(node.func.value)
            case ast.Attribute(attr=name) if _METHODS.get(name) == len(node.args):
                return self._method(node, node.func)
        return self.generic_visit(node)  # type: ignore[return-value]

    def _method(self, node: ast.Call, func: ast.Attribute) -> ast.expr:
        """X.lower() is lower(X), X.startswith(a) is startswith(X, a)."""
        edits, start, dot = self._line.edits, self._line.start(node), self._dot(func)
        edits.append((start, start, f"{func.attr}("))
        text = self._visited(func.value)
        asked = self._as_text(text)
        if node.args:
            opened = self._line.piece(0, self._line.end(node)).index("(", self._line.end(func)) + 1
            edits.append((dot, opened, ", "))
        else:
            edits.append((dot, self._line.end(node), ")"))
        arguments = [self._visited(argument) for argument in node.args]
        name = _placed(ast.Name(func.attr), node, node.col_offset, node.col_offset)
        return _placed(ast.Call(name, [asked, *arguments], []), node)

    def _as_text(self, node: ast.expr) -> ast.expr:
        """All values were text there: a number that is asked for a part of its text becomes text(X)."""
        known = names.find(node.id) if isinstance(node, ast.Name) and node.col_offset in self._foreign else None
        if known is None or known.kind != "number":
            return node
        start, end = self._line.start(node), self._line.end(node)
        self._line.edits += [(start, start, "text("), (end, end, ")")]
        name = _placed(ast.Name("text"), node, node.col_offset, node.col_offset)
        return _placed(ast.Call(name, [node], []), node)

    def _dot(self, func: ast.Attribute) -> int:
        head = self._line.piece(0, self._line.end(func) - len(func.attr))
        return head.rindex(".")

    def _visited(self, node: ast.expr) -> ast.expr:
        visited = self.visit(node)
        assert isinstance(visited, ast.expr)
        return visited

    # --- comparisons

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        if len(node.ops) > 1:
            return self.generic_visit(node)  # type: ignore[return-value]
        operator, right = node.ops[0], node.comparators[0]
        if isinstance(right, ast.Name) and right.id == "tags" and isinstance(operator, ast.In | ast.NotIn):
            return self._is_there(node, operator)
        node.left, right = self._visited(node.left), self._visited(right)
        if isinstance(operator, ast.Eq | ast.NotEq) and self._is_foreign(node.left) and _text(right) == "":
            return self._is_empty(node, operator)
        if isinstance(operator, ast.In | ast.NotIn) and _text(node.left) is not None:
            right = self._as_text(right)
        else:
            right = self._as_numbers(right, of=node.left)
            node.left = self._as_numbers(node.left, of=right)
        node.comparators = [right]
        return node

    def _is_there(self, node: ast.Compare, operator: ast.cmpop) -> ast.expr:
        """'Modality' in tags"""
        name = _text(node.left) or ""
        if self._line.of(node.left)[1:-1] != name or not name.isidentifier():
            return node
        start, end = self._line.start(node.left), self._line.end(node.left)
        function = "exists" if isinstance(operator, ast.In) else "missing"
        edits = [(self._line.start(node), start + 1, f"{function}("), (end - 1, self._line.end(node), ")")]
        self._line.edits += edits
        inner = self._foreign_name(node, name, self._line.column(start + 1), self._line.column(end - 1))
        return _placed(ast.Call(_placed(ast.Name(function), node), [inner], []), node)

    def _is_empty(self, node: ast.Compare, operator: ast.cmpop) -> ast.expr:
        """tags.PatientID != ''"""
        function = "missing" if isinstance(operator, ast.Eq) else "exists"
        start, end = self._line.start(node), self._line.end(node.left)
        end += self._line.start(node.left) in self._line.old_names  # the sign behind it is taken away by itself
        between = self._line.piece(end, self._line.end(node))
        closed = end + len(between[: between.index("=" if function == "missing" else "!")].rstrip())
        self._line.edits += [(start, start, f"{function}("), (closed, self._line.end(node), ")")]
        return _placed(ast.Call(_placed(ast.Name(function), node), [node.left], []), node)

    def _is_foreign(self, node: ast.expr, kind: str = "") -> bool:
        if not isinstance(node, ast.Name) or node.col_offset not in self._foreign:
            return False
        known = names.find(node.id)
        return not kind or (known is not None and known.kind == kind)

    def _as_numbers(self, node: ast.expr, of: ast.expr) -> ast.expr:
        """'5' beside a number that was text there becomes 5."""
        if not self._is_foreign(of, "number"):
            return node
        if isinstance(node, ast.Tuple | ast.List):
            node.elts = [self._as_numbers(element, of) for element in node.elts]
            return node
        text = _text(node)
        number = None if text is None else number_of(text.strip())
        if number is None:
            return node
        self._line.edits.append((self._line.start(node), self._line.end(node), repr(number)))
        return _placed(ast.Constant(number), node)

    # --- | and &

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        """(a) | (b) of conditions; of anything else it stays what it is, and is refused."""
        join = _JOINS.get(type(node.op))
        if join is None or not self._joins(node.left) or not self._joins(node.right):
            return self.generic_visit(node)  # type: ignore[return-value]
        edits, start, end = self._line.edits, self._line.start(node), self._line.end(node)
        if node is not self._body:
            edits.append((start, start, "("))
        between = self._line.piece(0, self._line.start(node.right))
        sign = between.rindex(join[0])
        blanks = (" " * (between[sign - 1] != " "), " " * (self._line.piece(sign + 1, sign + 2) != " "))
        edits.append((sign, sign + 1, f"{blanks[0]}{join[1]}{blanks[1]}"))
        values = [self._visited(node.left), self._visited(node.right)]
        if node is not self._body:
            edits.append((end, end, ")"))
        return _placed(ast.BoolOp(ast.Or() if join[1] == "or" else ast.And(), values), node)

    def _joins(self, node: ast.expr) -> bool:
        if isinstance(node, ast.BinOp):
            return type(node.op) in _JOINS and self._joins(node.left) and self._joins(node.right)
        is_not = isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
        return (
            is_not or isinstance(node, _CONDITIONS) or (isinstance(node, ast.Constant) and isinstance(node.value, bool))
        )


def _text(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _placed(made: Node, like: ast.expr, column: int | None = None, end: int | None = None) -> Node:
    made.lineno, made.end_lineno = like.lineno, like.end_lineno
    made.col_offset = like.col_offset if column is None else column
    made.end_col_offset = like.end_col_offset if end is None else end
    return made

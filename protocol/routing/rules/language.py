"""From a rule's text to its tree: Python's expression grammar, then an allow-list of what a rule may say.

It must not evaluate or import anything that the text names; whatever is not on the list is a RuleSyntaxError with the
position and what to write instead.
"""

from __future__ import annotations

import ast
import io
import re
import threading
import tokenize
import warnings
from dataclasses import dataclass

from protocol.errors import RuleSyntaxError
from protocol.routing.rules import functions, names, refusals
from protocol.routing.rules.nodes import (
    Always,
    Ask,
    Clause,
    Compare,
    Constant,
    Convert,
    CountImages,
    FirstImageValue,
    Logic,
    Name,
    Not,
    OverImages,
    Term,
)
from protocol.routing.rules.values import Scalar

LIMIT_CHARACTERS = 4000
LIMIT_DEPTH = 40
LIMIT_NUMBER = 10**18
_OPERATORS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.In: "in",
    ast.NotIn: "not in",
}
_WARNINGS = threading.Lock()  # the filters that catch_warnings changes belong to the whole process
_NO_CHARACTER = re.compile("[\x00\x01-\x1f\x7f\ud800-\udfff]")
_NO_CONDITION = "this is a value, not a condition"
_NO_VALUE = "this is a condition, not a value"


@dataclass(frozen=True, slots=True)
class Sentence:
    """A rule's text that was understood: its tree, its names, and the text with each name in its canonical letters.

    `over_images`: it uses an image function.
    """

    text: str
    tree: Clause
    names: tuple[str, ...]
    over_images: bool


def read(text: str) -> Sentence:
    """Understand a rule's text. Raises RuleSyntaxError."""
    if len(text) > LIMIT_CHARACTERS:
        cure = "split it into several rules, or use `in` with a list"
        raise RuleSyntaxError(f"the rule is longer than {LIMIT_CHARACTERS} characters", LIMIT_CHARACTERS, cure)
    if not text.strip():
        raise RuleSyntaxError("the rule is empty", 0, "write True for a rule that always applies")
    # one line of the same length, so that a rule may be written over several lines and positions stay right
    line = re.sub(r"[\n\r\f\v\t]", " ", text)
    indent = len(line) - len(line.lstrip(" "))
    body = _parse(line, indent)
    reader = _Reader(line, indent)
    tree = reader.clause(body, 1)
    return Sentence(reader.canonical(text), tree, tuple(sorted(reader.names)), reader.asks_images)


def _parse(line: str, indent: int) -> ast.expr:
    odd = _NO_CHARACTER.search(line)
    if odd:
        raise RuleSyntaxError(f"the character U+{ord(odd[0]):04X} cannot stand in a rule", odd.start(), "leave it out")
    try:
        body = _grammar(line[indent:])
    except SyntaxError as exc:
        message, cure = refusals.of_grammar(exc.msg or "", line)
        at_end = (exc.lineno or 1) > 1 or not exc.offset
        position = len(line.rstrip()) if at_end else (exc.offset or 1) - 1 + indent
        raise RuleSyntaxError(message, min(position, len(line)), cure) from exc
    except ValueError as exc:  # an integer of thousands of digits
        raise RuleSyntaxError("cannot be read", indent, "use smaller numbers") from exc
    except (RecursionError, MemoryError) as exc:
        message = f"nested deeper than {LIMIT_DEPTH} levels"
        raise RuleSyntaxError(message, indent, "split it into several rules") from exc
    _refuse_hidden(line, indent)
    return body


def _grammar(text: str) -> ast.expr:
    """Python's own reading. Its warnings (an odd escape, `1in`) would print parts of the rule to stderr."""
    with _WARNINGS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text, mode="eval").body


def _refuse_hidden(line: str, indent: int) -> None:
    """Refuse what Python reads in silence: a comment hides the rest of a rule, two texts in a row are joined."""
    before = tokenize.ENCODING
    for token in tokenize.generate_tokens(io.StringIO(line[indent:]).readline):
        position = indent + token.start[1]
        if token.type == tokenize.COMMENT:
            raise RuleSyntaxError("a comment", position, "write it into the rule's `comment`")
        if token.type == tokenize.STRING == before:
            raise RuleSyntaxError("two texts side by side", position, "put a comma between them")
        before = token.type


class _Reader:
    """Walks Python's tree and builds ours; one reader reads one text."""

    def __init__(self, line: str, indent: int) -> None:
        self._bytes = line.encode()
        self._indent = indent
        self._over_images = self.asks_images = False
        self._spans: list[tuple[int, int, str]] = []
        self.names: set[str] = set()

    # --- places

    def _position(self, column: int) -> int:
        return len(self._bytes[: self._indent + column].decode())  # ast counts bytes, people count characters

    def _text(self, node: ast.expr) -> str:
        start, end = self._indent + node.col_offset, self._indent + (node.end_col_offset or 0)
        return self._bytes[start:end].decode()

    def _refused(self, node: ast.expr, message: str, cure: str = "") -> RuleSyntaxError:
        return RuleSyntaxError(message, self._position(node.col_offset), cure)

    def _refused_node(self, node: ast.expr) -> RuleSyntaxError:
        message, cure = refusals.of_node(node)
        return self._refused(node, message, cure)

    def _check_depth(self, node: ast.expr, depth: int) -> None:
        if depth > LIMIT_DEPTH:
            raise self._refused(node, f"nested deeper than {LIMIT_DEPTH} levels", "split it into several rules")

    def canonical(self, text: str) -> str:
        """The text with every name in its canonical letters."""
        for start, end, name in sorted(self._spans, reverse=True):
            text = text[:start] + name + text[end:]
        return text

    # --- conditions

    def clause(self, node: ast.expr, depth: int) -> Clause:
        """A condition: something that is true, false, unknown or an error."""
        self._check_depth(node, depth)
        text = self._text(node)
        match node:
            case ast.Constant(value=bool() as value):
                return Always(text, value)
            case ast.BoolOp(op=op, values=values):
                clauses = tuple(self.clause(value, depth + 1) for value in values)
                return Logic(text, "and" if isinstance(op, ast.And) else "or", clauses)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return Not(text, self.clause(operand, depth + 1))
            case ast.Compare():
                return self._compare(node, depth)
            case ast.Call():
                called = self._call(node, depth, want_clause=True)
                if isinstance(called, (Ask, OverImages)):
                    return called
                raise self._refused(node, _NO_CONDITION, "compare it with something")
            case ast.Name():
                known = self._name(node)
                raise self._refused(
                    node, _NO_CONDITION, f"write exists({known.name}), or compare {known.name} with something"
                )
            case ast.Constant() | ast.Tuple() | ast.List():
                raise self._refused(node, _NO_CONDITION, "compare it with something")
        raise self._refused_node(node)

    def _compare(self, node: ast.Compare, depth: int) -> Compare:
        operators: list[str] = []
        terms = [self.term(node.left, depth + 1)]
        for op, comparator in zip(node.ops, node.comparators, strict=True):
            if type(op) not in _OPERATORS:
                raise self._refused(node, "`is` is not part of the rule language", "write == or !=")
            operators.append(_OPERATORS[type(op)])
            terms.append(self.term(comparator, depth + 1))
        return Compare(self._text(node), tuple(terms), tuple(operators))

    # --- values

    def term(self, node: ast.expr, depth: int) -> Term:
        """A value: a constant, a name, or a function that makes one."""
        self._check_depth(node, depth)
        match node:
            case ast.Name():
                return self._name(node)
            case ast.Tuple(elts=elements) | ast.List(elts=elements):
                if not elements:
                    raise self._refused(node, "an empty list", "name at least one value")
                return Constant(self._text(node), tuple(self._scalar(element) for element in elements))
            case ast.Constant() | ast.UnaryOp(op=ast.USub() | ast.UAdd()):
                return Constant(self._text(node), self._scalar(node))
            case ast.Call():
                called = self._call(node, depth, want_clause=False)
                if isinstance(called, (Convert, FirstImageValue, CountImages)):
                    return called
                raise self._refused(node, _NO_VALUE, "join conditions with and, or, not")
            case ast.Compare() | ast.BoolOp() | ast.UnaryOp(op=ast.Not()):
                raise self._refused(node, _NO_VALUE, "join conditions with and, or, not")
        raise self._refused_node(node)

    def _scalar(self, node: ast.expr) -> Scalar:
        match node:
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=ast.Constant(value=int() | float() as number)):
                if not isinstance(number, bool):
                    return -self._number(node, number) if isinstance(sign, ast.USub) else self._number(node, number)
            case ast.Constant(value=bool()):
                raise self._refused(node, "True and False are conditions, not values", "write the condition alone")
            case ast.Constant(value=int() | float() as number):
                return self._number(node, number)
            case ast.Constant(value=str() as text):
                return text
            case ast.Constant(value=None):
                raise self._refused(node, "None is not a value", "write missing(X) or exists(X)")
            case ast.Name() | ast.Call() | ast.Tuple() | ast.List():
                raise self._refused(node, "a list may hold only numbers and texts", "join comparisons with or")
        raise self._refused_node(node)

    def _number(self, node: ast.expr, number: int | float) -> int | float:
        if not -LIMIT_NUMBER <= number <= LIMIT_NUMBER:
            raise self._refused(node, "this number is too large", f"no DICOM number exceeds {LIMIT_NUMBER:.0e}")
        return number

    def _name(self, node: ast.Name) -> Name:
        known = names.find(node.id)
        if known is None:
            message, cure = refusals.of_name(node.id)
            raise self._refused(node, message, cure)
        if known.kind in ("binary", "sequence"):
            message = f"{known.name} is {'binary' if known.kind == 'binary' else 'a sequence'}"
            cure = (
                "a rule cannot read it" if known.kind == "binary" else "reading sequences is planned, not available yet"
            )
            raise self._refused(node, message, cure)
        self.names.add(known.name)
        start, end = self._position(node.col_offset), self._position(node.end_col_offset or 0)
        self._spans.append((start, end, known.name))
        return Name(self._text(node), known.name, known.title, known.kind == "number")

    # --- functions

    def _call(self, node: ast.Call, depth: int, want_clause: bool) -> Clause | Term:
        if not isinstance(node.func, ast.Name):
            raise self._refused_node(node.func)
        function = node.func.id
        if function not in functions.FUNCTIONS:
            message, cure = refusals.of_function(function)
            raise self._refused(node, message, cure)
        for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
            if node.keywords or isinstance(argument, ast.Starred):
                raise self._refused(
                    argument, f"{function}() takes no such argument", "write its values one after the other"
                )
        if function in functions.IMAGE_FUNCTIONS:
            return self._image_function(node, function, depth, want_clause)
        wanted = functions.CHECKS[function] if function in functions.CHECKS else functions.CONVERSIONS[function]
        self._count_arguments(node, function, wanted.arguments)
        arguments = tuple(self.term(argument, depth + 1) for argument in node.args)
        if function in functions.CONVERSIONS:
            return Convert(self._text(node), function, arguments)
        self._check_arguments(node, function, arguments)
        return Ask(self._text(node), function, arguments)

    def _count_arguments(self, node: ast.Call, function: str, wanted: int) -> None:
        if len(node.args) != wanted:
            values = "one value" if wanted == 1 else f"{wanted} values"
            raise self._refused(
                node, f"{function}() needs {values}, this has {len(node.args)}", "see the rule language's page"
            )

    def _check_arguments(self, node: ast.Call, function: str, arguments: tuple[Term, ...]) -> None:
        if functions.CHECKS[function].names_only and not isinstance(arguments[0], Name):
            raise self._refused(
                node.args[0], f"{function}() needs a name", f"write for example {function}(SeriesDescription)"
            )
        for argument, place in zip(arguments[1:], node.args[1:], strict=True):
            if isinstance(argument, Constant) and not (isinstance(argument.value, str) and argument.value):
                raise self._refused(place, f"{function}() looks for a text", "write it in quotes, for example 'brain'")

    def _image_function(self, node: ast.Call, function: str, depth: int, want_clause: bool) -> Clause | Term:
        if self._over_images:
            raise self._refused(
                node, f"{function}() cannot stand inside another image function", "write them side by side"
            )
        self.asks_images = True
        text = self._text(node)
        if function == "count_images" and not node.args:
            return CountImages(text, None)
        self._count_arguments(node, function, 1)
        self._over_images = True
        try:
            if function == "first_image" and not want_clause:
                return FirstImageValue(text, self.term(node.args[0], depth + 1))
            clause = self.clause(node.args[0], depth + 1)
        finally:
            self._over_images = False
        return CountImages(text, clause) if function == "count_images" else OverImages(text, function, clause)

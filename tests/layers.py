"""Reads the source as syntax trees and lists breaches of the layout. It must not import what it reads."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PACKAGES = ("protocol", "actors", "webgui", "scanpost")
MAX_LINES = 400
LISTS = {"protocol/wire/events.py"}  # one entry after the other, nothing to understand as a whole

# Who must not import whom, at any level.
NEVER = {
    "protocol": {"actors", "webgui", "scanpost"},
    "actors": {"webgui", "scanpost"},
    "webgui": {"actors", "scanpost"},
    "scanpost": set(),
}
# What only functions may import, so that a command starts quickly.
LAZILY = {"scanpost": {"actors", "webgui"}}

DATABASES = ("protocol/spool/", "protocol/ledger/", "protocol/accounts")
ONE_HOME = {
    "msgpack": ("protocol/wire/codec.py",),
    "zmq": ("protocol/wire/bus.py", "webgui/feed.py"),
    "sqlite3": DATABASES,
    "sqlalchemy": DATABASES,
    "alembic": DATABASES,
    "psycopg2": DATABASES,
    "pynetdicom": ("actors/dicom/",),
    "aiohttp.web": ("webgui/",),
    "aiohttp_jinja2": ("webgui/",),
}
FORBIDDEN_MODULES = {"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "pty"}
FORBIDDEN_CALLS = {
    "eval", "exec", "os.system", "os.popen", "os.fork", "os.forkpty", "pty.fork",
    "subprocess.getoutput", "subprocess.getstatusoutput", "asyncio.create_subprocess_shell",
}  # fmt: skip
# Forking is safe only where there is no thread, socket or open spool yet; nursery.py is written and tested for that.
ALLOWED_CALLS = {"os.fork": "actors/nursery.py"}


@dataclass(frozen=True)
class Import:
    """One imported name, dotted; `lazy` inside a function, `typing` under TYPE_CHECKING."""

    name: str
    line: int
    lazy: bool
    typing: bool


@dataclass(frozen=True)
class Source:
    """One file; `place` is its path below the top of the repository."""

    place: str
    tree: ast.Module
    lines: int

    @property
    def package(self) -> str:
        return self.place.split("/")[0]

    @property
    def module(self) -> str:
        return self.place.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def read(top: Path) -> list[Source]:
    """All source files of the product."""
    files = sorted(file for package in PACKAGES for file in (top / package).rglob("*.py"))
    return [source(str(file.relative_to(top)), file.read_text("utf-8")) for file in files]


def source(place: str, text: str) -> Source:
    return Source(place, ast.parse(text, place), len(text.splitlines()))


def imports(tree: ast.Module) -> Iterator[Import]:
    """Every import; `from a import b` gives `a.b`, which may be a module or a name in one."""

    def visit(node: ast.AST, lazy: bool, typing: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, lazy, typing) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # Relative imports do not occur; one would show up as a breach of its own below.
            base = "." * node.level + (node.module or "")
            yield from (Import(f"{base}.{alias.name}", node.lineno, lazy, typing) for alias in node.names)
        inside = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        checking = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, inside, typing or checking)

    yield from visit(tree, False, False)


def below(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


def arrow_breaches(one: Source) -> list[str]:
    """Imports against the arrows of the layout."""
    found = []
    for each in imports(one.tree):
        top = each.name.split(".")[0]
        eager = not each.lazy and not each.typing
        if each.name.startswith("."):
            found.append(f"{one.place}:{each.line} relative import")
        elif top in NEVER.get(one.package, ()):
            found.append(f"{one.place}:{each.line} {one.package} must not import {each.name}")
        elif eager and top in LAZILY.get(one.package, ()):
            found.append(f"{one.place}:{each.line} imports {each.name} outside a function")
    return found


def home_breaches(one: Source) -> list[str]:
    """Libraries used away from their one home."""
    return [
        f"{one.place}:{each.line} {library} belongs into {' or '.join(homes)}"
        for each in imports(one.tree)
        for library, homes in ONE_HOME.items()
        if below(each.name, library) and not one.place.startswith(homes)
    ]


def circles(sources: list[Source]) -> list[list[str]]:
    """Groups of modules that import one another, be it inside a function or for types only: none explains itself alone."""
    names = {one.module for one in sources}
    graph = {one.module: {found for each in imports(one.tree) if (found := _target(each, names))} for one in sources}
    return [group for group in _strongly_connected(graph) if len(group) > 1 or group[0] in graph[group[0]]]


def _target(each: Import, names: set[str]) -> str | None:
    if each.name in names:
        return each.name
    parent = each.name.rpartition(".")[0]
    return parent if parent in names else None


def _strongly_connected(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Tarjan's algorithm; the source is shallow enough for recursion."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            at = stack.index(node)
            groups.append(sorted(stack[at:]))
            del stack[at:]

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return groups


def forbidden(one: Source) -> list[str]:
    """Constructs that never occur in this project."""
    found = [
        f"{one.place}:{each.line} import of {each.name}"
        for each in imports(one.tree)
        if each.name.split(".")[0] in FORBIDDEN_MODULES
    ]
    for node in ast.walk(one.tree):
        faults = (what for what in _faults(node) if one.place != ALLOWED_CALLS.get(what))
        found += [f"{one.place}:{node.lineno} {what}" for what in faults]  # type: ignore[attr-defined]
    return found


def _faults(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Call):
        name = ast.unparse(node.func)
        if name in FORBIDDEN_CALLS:
            yield name
        if any(key.arg == "shell" and ast.unparse(key.value) != "False" for key in node.keywords):
            yield "shell=True"
        if name.endswith(("recv_pyobj", "send_pyobj")):
            yield "pickle over a socket"
        if name.split(".")[-1] == "wait_for" and any(_receives(argument) for argument in node.args):
            yield "wait_for around recv loses messages"
        if name.endswith("get_context") and any("fork" in ast.unparse(argument) for argument in node.args):
            yield "fork"
    if isinstance(node, ast.With | ast.AsyncWith):
        limits = [ast.unparse(item.context_expr) for item in node.items]
        if any(limit.startswith(("asyncio.timeout", "timeout(")) for limit in limits) and any(
            map(_receives, node.body)
        ):
            yield "timeout around recv loses messages"
    if isinstance(node, ast.ExceptHandler) and _swallows(node):
        yield "except that swallows everything"


def _receives(node: ast.AST) -> bool:
    calls = (inner.func for inner in ast.walk(node) if isinstance(inner, ast.Call))
    return any(isinstance(call, ast.Attribute) and call.attr.startswith("recv") for call in calls)


def _swallows(node: ast.ExceptHandler) -> bool:
    everything = node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")
    return everything and all(isinstance(line, ast.Pass | ast.Continue) for line in node.body)


def too_long(one: Source) -> list[str]:
    """Files that should be two."""
    if one.lines <= MAX_LINES or one.place in LISTS:
        return []
    return [f"{one.place} has {one.lines} lines, more than {MAX_LINES}"]

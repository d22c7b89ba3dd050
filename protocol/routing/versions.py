"""The versions of the routing configuration on disk: numbered files, the highest usable one is current.

It must not change or remove a version, and reading must never stop a running actor: what cannot be read is a problem
to report, and the former revision stays current.
"""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from protocol.clock import Clock
from protocol.errors import Fault, RoutingConflict, RoutingError, SpoolError
from protocol.records import record
from protocol.routing.conflicts import conflict
from protocol.routing.difference import difference
from protocol.routing.faults import faults_of_tests
from protocol.routing.model import RoutingConfiguration, Rule
from protocol.routing.parse import LIMIT_BYTES, build, load_json, parse, to_data

_FILE = re.compile(r"(\d{6,12})\.json", re.ASCII)
_LIMIT_TEXT = 2_000  # characters of author and reason
_AGAIN_S = 5.0
"""A version that cannot be used is read again after so long: its file may have been mended in place."""
_KINDS: dict[str, tuple[type, ...]] = {
    "number": (int,),
    "author": (str,),
    "time": (int, float),
    "reason": (str,),
    "parent": (int,),
}
_NOBODY: Mapping[str, str] = {}
KEPT_PARTS = 1_000  # targets, groups, sources and rules of the versions that are kept: some 7 KB each


class RoutingFiles(Protocol):
    """The part of FsOps that versions need."""

    def read_bytes(self, path: Path) -> bytes: ...
    def write_new(self, path: Path, data: bytes) -> None: ...
    def link(self, source: Path, target: Path) -> None: ...
    def unlink(self, path: Path) -> None: ...
    def sync_dir(self, path: Path) -> None: ...
    def listdir(self, path: Path) -> list[str]: ...
    def makedirs(self, path: Path) -> list[Path]: ...
    def size(self, path: Path) -> int: ...


@record
class Version:
    """One revision of the routing configuration. `time` in seconds since 1970; number 0 stands for "none yet"."""

    number: int
    author: str
    time: float
    reason: str
    parent: int
    configuration: RoutingConfiguration


@record
class Problem:
    """A version file that cannot be used, and why, in one line."""

    number: int
    message: str


@cache  # asked for each second by everybody until there is one
def _nothing_yet() -> Version:
    return Version(0, "", 0.0, "no routing configuration yet", 0, RoutingConfiguration())


def _hold_everything() -> Version:
    """Where versions exist and none can be used: arrivals are held, since without rules they would be discarded."""
    rule = Rule(name="no-usable-configuration", when="True", action="hold")
    reason = "no version of the routing configuration can be used: everything is held"
    return Version(0, "", 0.0, reason, 0, RoutingConfiguration(rules=(rule,)))


class RoutingVersions:
    """The versions in one folder (config/routing). An object belongs to one thread; all processes share the files.

    Besides the current one it keeps the last that were asked for, as many as have `kept_parts` parts together.
    """

    def __init__(self, folder: Path, fs: RoutingFiles, clock: Clock, kept_parts: int = KEPT_PARTS) -> None:
        self._folder, self._fs, self._clock, self._kept_parts = folder, fs, clock, kept_parts
        self._read: OrderedDict[int, Version] = OrderedDict()  # the last ones asked for
        self._keeping = threading.Lock()  # pages ask from several threads
        self._problems: dict[int, Problem] = {}
        self._seen: list[int] | None = None
        self._current: Version | None = None
        self._looked = 0.0  # by `current`, monotonic

    # --- reading

    def changed(self) -> bool:
        """Whether `current` may find something else than last time: other files, or one that could not be used and was mended
        since. Cheap: one listing, nothing is read.
        """
        try:
            numbers = self.numbers()
        except (OSError, SpoolError):
            return True
        damaged = self._current is not None and self._current.number < (numbers[-1] if numbers else 0)
        return numbers != self._seen or (damaged and self._clock.monotonic() >= self._looked + _AGAIN_S)

    def current(self) -> Version:
        """The highest usable version, or number 0. Never raises: see `problems`."""
        self._looked = self._clock.monotonic()
        try:
            numbers = self.numbers()
        except (OSError, SpoolError) as exc:
            self._problems[0] = Problem(0, f"{self._folder.name}: cannot be listed: {_said(exc)}")
            return self._current or _hold_everything()
        self._problems.pop(0, None)
        self._seen = numbers
        if self._current is not None and self._current.number > (numbers[-1] if numbers else 0):
            gone = f"{_name(self._current.number)}: the current version was removed by hand; it stays in force here"
            self._problems[0] = Problem(0, gone)
            return self._current
        self._current = self._highest(numbers)
        return self._current

    def problems(self) -> tuple[Problem, ...]:
        """What could not be used when versions were last read, highest number first."""
        return tuple(self._problems[number] for number in sorted(self._problems, reverse=True))

    def get(self, number: int) -> Version:
        """One version. Raises RoutingError if it does not exist or cannot be used."""
        if number == 0:
            return _nothing_yet()
        if self._current is not None and self._current.number == number:
            return self._current
        return self._read.get(number) or self._load(number)

    def history(self, before: int | None = None) -> Iterator[Version]:
        """Usable versions, newest first, each read when it is asked for; the others are in `problems`.

        `before`: only those with lower numbers.
        """
        for number in reversed(self.numbers()):
            version = self._try(number) if before is None or number < before else None
            if version is not None:
                yield version

    def numbers(self) -> list[int]:
        """Of all version files, usable or not, the lowest first. Raises OSError, SpoolError."""
        try:
            names = self._fs.listdir(self._folder)
        except FileNotFoundError:
            return []
        matches = (_FILE.fullmatch(name) for name in names)
        return sorted({int(match[1]) for match in matches if match and match[0] == _name(int(match[1]))} - {0})

    def _highest(self, numbers: list[int]) -> Version:
        for number in reversed(numbers):
            version = self._try(number)
            if version is not None:
                return version
        return _hold_everything() if numbers else _nothing_yet()

    def _try(self, number: int) -> Version | None:
        try:
            version = self.get(number)
        except RoutingError as exc:
            self._problems[number] = Problem(number, str(exc))
            return None
        self._problems.pop(number, None)
        return version

    def _load(self, number: int) -> Version:
        where = _name(number)
        path = self._folder / where
        try:
            if self._fs.size(path) > 2 * LIMIT_BYTES:
                raise RoutingError("far too large", where, "Publish a new version")
            data = load_json(self._fs.read_bytes(path), where)
        except FileNotFoundError as exc:
            raise RoutingError("there is no such version", where, "See `scanpost routing history`") from exc
        except (OSError, SpoolError) as exc:
            raise RoutingError(f"cannot be read: {_said(exc)}", where, "Look at the disk") from exc
        return self._keep(_version(data, number, where))

    def _keep(self, version: Version) -> Version:
        """Of hundreds of rules a version takes megabytes, and every process would keep all that ever were."""
        with self._keeping:
            self._read[version.number] = version
            while len(self._read) > 2 and sum(map(_parts, self._read.values())) > self._kept_parts:
                self._read.popitem(last=False)  # two stay: who walks through them asks for one and the one before it
        return version

    # --- writing

    def publish(
        self,
        configuration: RoutingConfiguration,
        author: str,
        reason: str,
        parent: int,
        in_use: Mapping[str, str] = _NOBODY,
    ) -> Version:
        """Write the next version and make it current.

        `parent` is the number that the author started from; `in_use` says of targets and groups why they cannot go.
        Raises RoutingConflict if another version was published meanwhile, RoutingError if this one cannot be used, and
        OutOfSpace, DiskFailed.
        """
        current = self.current()
        if parent != current.number:
            raise self._conflict(parent, current)
        configuration = self._checked(configuration, current.configuration, in_use)
        highest = self._seen[-1] if self._seen else 0
        number = max(highest, current.number) + 1
        text = author[:_LIMIT_TEXT], reason[:_LIMIT_TEXT]
        version = Version(number, text[0], self._clock.now(), text[1], parent, configuration)
        self._write(version)
        self._current = self._keep(version)
        self._seen = None  # look again: somebody else may be ahead already
        return version

    def rollback(self, number: int, author: str, reason: str, in_use: Mapping[str, str] = _NOBODY) -> Version:
        """Publish the configuration of an earlier version again, as a new one. Raises as `get` and `publish` do."""
        earlier = self.get(number).configuration
        return self.publish(earlier, author, reason, self.current().number, in_use)

    def before(self, version: Version) -> Version:
        """The version that was current before this one, for an undo. Raises RoutingError: there is none to go back to."""
        if version.parent == 0:
            raise RoutingError("there is nothing before it", _name(version.number), "See `scanpost routing history`")
        return self.get(version.parent)

    def _conflict(self, parent: int, current: Version) -> RoutingConflict:
        try:
            changes = difference(self.get(parent).configuration, current.configuration)
        except RoutingError:
            return conflict(parent, current, None, _name(current.number))
        return conflict(parent, current, changes, _name(current.number))

    def _checked(
        self, configuration: RoutingConfiguration, former: RoutingConfiguration, in_use: Mapping[str, str]
    ) -> RoutingConfiguration:
        """What will be written is read back first: a copy made past validation cannot get in."""
        where = "routing.json"
        checked = parse(_encode(to_data(configuration), where), where)
        faults = faults_of_tests(checked)
        removed = {*former.targets, *former.groups} - {*checked.targets, *checked.groups}
        for name in sorted(removed & set(in_use)):
            section = "groups" if name in former.groups else "targets"
            message = f"'{name}' is in use ({in_use[name]})"
            faults.append(Fault(f"{section}.{name}", message, "Keep it until that is done"))
        if faults:
            raise RoutingError.of(faults, where)
        return checked

    def _write(self, version: Version) -> None:
        data = _encode(_record(version), _name(version.number))
        temporary = self._folder / f".{_name(version.number)}.{uuid.uuid4().hex}.tmp"
        try:
            for folder in self._fs.makedirs(self._folder):
                self._fs.sync_dir(folder)
            self._fs.write_new(temporary, data)
            self._link(temporary, version)
            self._fs.sync_dir(self._folder)
        except OSError as exc:
            cure = f"Let this user write in {self._folder}"
            raise RoutingError(f"cannot be written: {_said(exc)}", _name(version.number), cure) from exc
        self._forget(temporary)

    def _forget(self, temporary: Path) -> None:
        """What stays behind is only litter: no version has such a name."""
        try:
            self._fs.unlink(temporary)
        except (OSError, SpoolError):
            return

    def _link(self, temporary: Path, version: Version) -> None:
        try:
            self._fs.link(temporary, self._folder / _name(version.number))
        except FileExistsError as exc:
            self._forget(temporary)
            raise self._conflict(version.parent, self.current()) from exc


def _name(number: int) -> str:
    return f"{number:06d}.json"


def _parts(version: Version) -> int:
    one = version.configuration
    return 1 + len(one.targets) + len(one.groups) + len(one.sources) + len(one.rules)


def _said(exc: Exception) -> str:
    return (exc.strerror if isinstance(exc, OSError) else None) or str(exc) or type(exc).__name__


def _record(version: Version) -> dict[str, Any]:
    return {
        "number": version.number,
        "author": version.author,
        "time": version.time,
        "reason": version.reason,
        "parent": version.parent,
        "configuration": to_data(version.configuration),
    }


def _encode(data: dict[str, Any], where: str) -> bytes:
    try:
        return (json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
    except ValueError as exc:  # half a surrogate pair, NaN
        raise RoutingError("holds what cannot be written as JSON", where, "Correct its texts and numbers") from exc


def _version(data: Any, number: int, where: str) -> Version:
    if not isinstance(data, dict) or set(data) != {*_KINDS, "configuration"}:
        raise RoutingError("is no version of a routing configuration", where, "Publish a new version")
    for key, kind in _KINDS.items():
        if not isinstance(data[key], kind) or isinstance(data[key], bool):
            raise RoutingError("has a wrong value", f"{where}: {key}", "Publish a new version")
    if data["number"] != number:
        raise RoutingError(f"calls itself number {data['number']}", where, "Publish a new version")
    configuration = build(data["configuration"], f"{where}: configuration")
    return Version(number, data["author"], float(data["time"]), data["reason"], data["parent"], configuration)

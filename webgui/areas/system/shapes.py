"""What the API of the system page answers, as models. It must not make answers."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


class ProgramAnswer(BaseModel):
    """A process of the node."""

    program: str
    name: str
    state: str
    level: str
    pid: int | None
    uptime_s: float | None
    version: str
    error: str


class SystemAnswer(BaseModel):
    """Programs, disk, ledger, packages, machine; what the cleaner would let go."""

    rows: list[ProgramAnswer]
    starts: dict[str, Any]
    manager_away: str
    dispatchers: int
    draining: Any = None
    disk: dict[str, Any] | None = None
    window: str
    ledger: dict[str, Any]
    packages: list[dict[str, Any]]
    machine: dict[str, Any]
    files: list[dict[str, Any]]
    cleaning: dict[str, Any] | None = None
    left: dict[str, Any] | None = None
    debug: list[DebugWish] = []
    following: FollowedAssociations | None = None


class ProgramDone(BaseModel):
    """A program that was started, stopped or restarted."""

    program: str
    act: str = ""
    told: str


class DebugWish(BaseModel):
    """An actor that logs its steps. `until`: seconds UTC."""

    actor: str
    until: float
    by: str


class FollowedAssociations(BaseModel):
    """`left` of `count` associations of the receiver are still to be logged. `until`: seconds UTC."""

    count: int
    left: int
    until: float
    by: str


class DebugDone(BaseModel):
    """Debug lines of an actor, begun or ended; `until`: seconds UTC, 0 for ended. `associations`: of so many, if not of all."""

    actor: str
    until: float
    associations: int | None = None
    told: str


class DispatchersDone(BaseModel):
    """How many dispatchers run now, and ran before."""

    number: int
    before: int
    told: str


class SelfTestStep(BaseModel):
    """One hop, with how long it took."""

    name: str
    title: str
    ok: bool
    seconds: float
    text: str


class SelfTestAnswer(BaseModel):
    """How far a self-test is. `arrival`: the series' number, gone when it is over."""

    id: str
    running: bool
    ok: bool
    steps: list[SelfTestStep]
    error: str
    target: str
    study_uid: str
    arrival: int | None

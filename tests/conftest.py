"""For all tests: `--soak` adds the long ones, and in CI a test that was skipped for a missing tool is a failure."""

from __future__ import annotations

import gc
import os
import re
import signal
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.ready_made import ready_made
from tests.requests_in_turn import keep_requests_in_turn

# Where no bytecode is kept, each worker compiles all tests and each of some hundred processes all sources again.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A run that a script puts into the background is started with it ignored, and so would be all that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

IN_MEMORY = Path("/dev/shm")
GB = 1 << 30


def room_in_memory() -> bool:
    """Whether all that the tests write fits there; they write a few hundred MB, and remove it after each test."""
    if not os.access(IN_MEMORY, os.W_OK):
        return False
    found = os.statvfs(IN_MEMORY)
    available = re.search(r"MemAvailable: *(\d+) kB", Path("/proc/meminfo").read_text())
    free = int(available[1]) << 10 if available else 0
    return min(found.f_bavail * found.f_frsize, free) > 4 * GB and not found.f_flag & os.ST_NOEXEC


# Thousands of tests make databases that sync each commit, which costs milliseconds on a disk and nothing in memory.
if room_in_memory():
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(IN_MEMORY))

# In CI the examples are the same each time, so that a red run is the change's own fault; on a desk they are new ones.
# How long an example takes says something of the machine only.
UNTIMED = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
hypothesis.settings.register_profile("desk", **UNTIMED)
hypothesis.settings.register_profile("ci", derandomize=True, **UNTIMED)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "desk")


keep_requests_in_turn()

IN_CI = os.environ.get("CI", "").lower() == "true"
_missing: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="also run tests marked soak: minutes to hours")


LONG = (
    "tests/network/", "tests/crash/", "tests/webgui/test_webgui_everybody.py", "tests/webgui/test_webgui_fuzzed_api.py",
)  # fmt: skip
EARLY = 0.6  # by this part of all other files the long ones have begun


def in_good_company(items: list[pytest.Item]) -> list[pytest.Item]:
    """Files whose few tests take minutes, and mostly wait, stand between the others, the last of them well before the end:
    side by side they would starve each other, and last of all one would run while all other workers are done.
    """
    files: dict[str, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.nodeid.partition("::")[0], []).append(item)
    long = [name for name in files if name.startswith(LONG)]
    others = [name for name in files if not name.startswith(LONG)]
    step = max(1, int(EARLY * len(others) / len(long))) if long else 1
    order: list[str] = []
    for at, name in enumerate(others):
        if at % step == 0 and long:
            order.append(long.pop(0))
        order.append(name)
    return [item for name in (*order, *long) for item in files[name]]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items[:] = in_good_company(items)
    if config.getoption("--soak"):
        for item in items:
            if "soak" in item.keywords:  # the usual limit is for what runs each time
                item.add_marker(pytest.mark.timeout(3600), append=False)
        return
    wait = pytest.mark.skip(reason="long; add --soak")
    for item in items:
        if "soak" in item.keywords:
            item.add_marker(wait)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """The garbage collector need not look at thousands of tests again and again: they stay until the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and isinstance(report.longrepr, tuple) and "install" in report.longrepr[2]:
        _missing.append(f"{report.nodeid}: {report.longrepr[2]}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    if IN_CI and _missing and not hasattr(session.config, "workerinput"):  # the workers' reports come together in one
        print("\nskipped in CI for want of a tool:", *_missing, sep="\n  ")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(autouse=True, scope="session")
def _ready_made() -> Iterator[None]:
    with ready_made():
        yield


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own SCANPOST_ variables must not reach a test."""
    for name in [name for name in os.environ if name.startswith("SCANPOST_")]:
        monkeypatch.delenv(name)

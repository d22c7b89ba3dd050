"""A node's home with a router that works whenever the command line nudges it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner, Result
from rules_node import Home

from actors.base import make_context, passes
from actors.router.actor import RouterActor
from protocol.causes import Cause
from protocol.settings import load_settings
from protocol.testing.fakes import FakeNetwork
from protocol.wire import telling
from scanpost.main import cli

Run = Callable[..., Result]


class Quiet:
    def __getattr__(self, level: str) -> Callable[..., None]:
        return lambda *words, **more: None


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made = Home(tmp_path)
    context = make_context(load_settings(tmp_path, environ={}), made.spool, wire=FakeNetwork(Random(1)).wire("arrivals"), log=Quiet(),
                           rng=Random(1), routing=made.versions)  # fmt: skip
    router = RouterActor(context)
    monkeypatch.setattr(telling, "tell_committed", lambda settings, source: passes(router))
    monkeypatch.setattr("getpass.getuser", lambda: "anna")
    yield made
    made.spool.close()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def runner(*words: str, code: int = 0, input: str | None = None) -> Result:
        done = CliRunner().invoke(cli, ["--home", str(tmp_path), *words], input=input)
        assert done.exit_code == code, done.output
        return done

    return runner


@pytest.fixture
def three(home: Home) -> list[int]:
    """Three series routed to pacs, of two scanners; one delivery is parked."""
    arrivals = [
        home.series(calling_ae=name, Modality="MR", StudyDescription="cardiac") for name in ("MR1", "MR1", "MR2")
    ]
    owner = home.spool.workers.enter("dispatcher", "0").owner
    claim = home.spool.deliveries.claim(owner, {"pacs": 1}, 9e9)
    assert claim is not None
    home.spool.deliveries.park(claim, "PACS does not know us", Cause.UNKNOWN_AE)
    return arrivals

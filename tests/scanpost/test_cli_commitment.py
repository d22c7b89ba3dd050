"""`scanpost commitment`: what it shows of a spool that holds requests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from protocol.spool import Spool, open_spool
from scanpost.main import cli

CT = "1.2.840.10008.5.1.4.1.1.2"
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return lambda *words: CliRunner().invoke(cli, ["--home", str(tmp_path), "commitment", *words])


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = open_spool(tmp_path, create=True)
    yield made
    made.close()


def test_requests_are_listed_and_shown_with_what_became_of_each_image(run: Run, spool: Spool) -> None:
    first = spool.commitments.request(
        bytes(16), "CT1", "SCANPOST", "10.0.0.1", None, "1.2.3", [(CT, "1.1"), (CT, "1.2")]
    )
    spool.commitments.answer(first, [0, 0x0112], (), 0.0)
    second = spool.commitments.request(bytes(16), "MR1", "SCANPOST", "10.0.0.2", None, "1.2.3", [(CT, "1.3")])
    rows = json.loads(run("list", "--json").stdout)
    assert [(row["id"], row["calling_ae"], row["state"], row["images"], row["failed"]) for row in rows] == [
        (second, "MR1", "waiting", 1, 0), (first, "CT1", "answered", 2, 1)]  # fmt: skip
    assert [row["id"] for row in json.loads(run("list", "--state", "waiting", "--json").stdout)] == [second]
    assert [row["id"] for row in json.loads(run("list", "--source", "CT1", "--json").stdout)] == [first]
    shown = run("show", str(first)).stdout
    assert "committed" in shown and "no such image (0112)" in shown
    assert [one["reason"] for one in json.loads(run("show", str(first), "--json").stdout)["images"]] == [0, 0x0112]
    assert "CT1" in run("list").stdout and run("targets").exit_code == 0
    assert json.loads(run("targets", "--json").stdout) == []


def test_a_request_that_is_not_there_is_one_line_and_exit_1(run: Run, spool: Spool) -> None:
    done = run("show", "7")
    assert done.exit_code == 1 and "there is no commitment request 7" in done.output

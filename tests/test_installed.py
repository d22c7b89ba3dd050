"""Files that go with the programs are found however the wheel was installed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from protocol.installed import places


@pytest.mark.parametrize(("packages", "file"), [
    ("checkout", "checkout/docs"),
    ("home/.local/lib/python3.11/site-packages", "home/.local/share/scanpost/docs"),  # pip install --user
    ("opt/lib/python3.11/site-packages", "opt/share/scanpost/docs"),  # --prefix
    ("apps", "apps/share/scanpost/docs"),  # --target
])  # fmt: skip
def test_they_are_found_beside_the_packages_wherever_those_are(tmp_path: Path, packages: str, file: str) -> None:
    assert tmp_path / file in places("docs", tmp_path / packages)


def test_the_interpreters_own_prefix_comes_before_that_of_the_packages(tmp_path: Path) -> None:
    found = places("docs", tmp_path / "home/.local/lib/python3.11/site-packages")
    own, user = Path(sys.prefix) / "share/scanpost/docs", tmp_path / "home/.local/share/scanpost/docs"
    assert found.index(own) < found.index(user)

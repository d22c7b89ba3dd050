"""Worlds for crash tests, on a folder in memory where there is one: thousands of small databases are made here."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from protocol.testing.spoolworld import SpoolWorld

IN_MEMORY = Path("/dev/shm")


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(dir=IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else None))
    yield made
    shutil.rmtree(made)


@pytest.fixture
def worlds(folder) -> Callable[..., Callable[[int], SpoolWorld]]:
    """worlds(durability) is a maker of fresh worlds from a seed."""
    made = iter(range(1_000_000))

    def maker(durability: str = "fsync") -> Callable[[int], SpoolWorld]:
        return lambda seed: SpoolWorld(folder / f"world-{next(made)}", seed, durability=durability)

    return maker

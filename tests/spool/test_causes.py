"""Causes: a closed catalogue, named where an error arises, kept with the delivery until it goes on."""

from __future__ import annotations

import ast
import errno
from pathlib import Path

import pytest

from actors.dicom import pdus
from protocol import causes, errors
from protocol.causes import HINTS, Cause, hint, of_errno, of_status

TOP = Path(__file__).parents[2]


def test_every_cause_has_a_hint_that_says_what_it_means_and_what_to_do_first() -> None:
    assert set(HINTS) == set(Cause)
    for one in HINTS.values():
        for words in (one.means, one.first):
            assert words[0].isupper() or words[0] == "`"
            assert words.endswith(".") and words.count(". ") <= 1, f"one or two sentences: {words}"
    assert hint("of a later version") == HINTS[Cause.OTHER]


def test_the_page_of_the_queue_shows_the_catalogue() -> None:
    assert causes.PAGE.read_text("utf-8") == causes.page(causes.PAGE.read_text("utf-8")), (
        "run python -m protocol.causes"
    )
    assert all(f"| `{cause}` |" in causes.PAGE.read_text("utf-8") for cause in Cause)


def test_every_kind_of_network_error_has_a_cause_of_the_catalogue() -> None:
    kinds = [errors.NetworkError, *errors.NetworkError.__subclasses__()]
    assert {kind.cause for kind in kinds} <= set(Cause)
    assert errors.PeerTimeout("late").cause == "timeout" and errors.PeerTimeout("late", True, Cause.TLS).cause == "tls"


def test_an_error_that_is_told_anew_keeps_its_cause() -> None:
    """`raise type(exc)(words, exc.retryable)` would lose it."""
    for file in (TOP / "actors").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            again = isinstance(node, ast.Call) and ast.unparse(node.func) == "type(exc)"
            assert not again or "exc.cause" in ast.unparse(node), f"{file}:{getattr(node, 'lineno', 0)}"


@pytest.mark.parametrize(
    ("status", "cause"),
    [(0xA700, "out_of_space"), (0xA7FF, "out_of_space"), (0x0213, "out_of_space"), (0xA900, "images_mismatch"),
     (0xC000, "images_not_understood"), (0xC122, "context_refused"), (0x0122, "context_refused"), (0x0124, "not_permitted"),
     (0x0110, "processing_failed"), (0x0117, "images_refused"), (0xFFFF, "images_refused")],
)  # fmt: skip
def test_a_status_names_its_family(status: int, cause: str) -> None:
    assert of_status(status) == cause


@pytest.mark.parametrize(
    ("number", "cause"),
    [(errno.ECONNREFUSED, "connection_refused"), (errno.EHOSTUNREACH, "unreachable"), (errno.ENOSPC, "out_of_space"),
     (errno.ESTALE, "folder_missing"), (errno.EROFS, "not_permitted"), (errno.EIO, "other"), (None, "other")],
)  # fmt: skip
def test_an_error_of_the_system_names_its_cause(number: int | None, cause: str) -> None:
    assert of_errno(number) == cause


@pytest.mark.parametrize(
    ("rejection", "cause"),
    [((1, 1, 3), "unknown_ae"), ((2, 1, 7), "unknown_ae"), ((2, 3, 2), "busy"), ((1, 3, 1), "busy"), ((1, 1, 1), "rejected"),
     ((1, 1, 2), "rejected"), ((2, 1, 1), "busy")],
)  # fmt: skip
def test_a_rejection_says_whether_titles_are_wrong_or_patience_is_needed(rejection: tuple, cause: str) -> None:
    assert pdus.reject_cause(bytes((0, *rejection))) == cause

"""The documentation follows the registry, and what earlier versions wrote can still be read."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from freeze import FIXTURES, place

from protocol.wire import codec, document
from protocol.wire.cloudevents import from_cloudevent, to_cloudevent
from protocol.wire.messages import REGISTRY, Envelope, Event

FILES = sorted(FIXTURES.glob("*.msgpack"))


def test_committed_page_is_the_generated_one() -> None:
    assert document.PLACE.read_text("utf-8") == document.document(), "run python -m protocol.wire.document"


def test_check_notices_an_outdated_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "PLACE", tmp_path / "events.md")
    assert document.main(["--check"]) == 1
    assert document.main([]) == 0
    assert document.main(["--check"]) == 0


def test_page_names_every_type_with_its_sentence() -> None:
    made = document.document()
    for cls in REGISTRY.values():
        assert f"### {cls.TYPE}\n\n{' '.join((cls.__doc__ or '').split())}" in made


@pytest.mark.parametrize("cls", REGISTRY.values(), ids=lambda cls: cls.TYPE)
def test_every_type_is_documented_and_frozen(cls: type[Event]) -> None:
    assert "(" not in (cls.__doc__ or "(")[:1] and not (cls.__doc__ or "").startswith(f"{cls.__name__}(")
    assert place(cls).is_file(), "new event type or version: run python tests/wire/freeze.py"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_frozen_event_still_decodes(file: Path) -> None:
    one = Envelope.from_map(codec.unpack_map(file.read_bytes()))
    kind, _, version = file.stem.rpartition(".")
    assert (one.type, one.dataschema) == (kind, f"{kind}/{version}")
    assert (one.id, one.time, one.correlationid) == (one.id, 1_800_000_000.25, "7")
    assert (one.epoch, one.seq) == ((1, 42) if one.root == "ev" else (0, 0))
    assert from_cloudevent(to_cloudevent(one)) == one
    cls = REGISTRY[kind]
    if int(version) == cls.VERSION:
        body = cls(**one.data)  # a field that was removed, renamed, or added without a default fails here
        assert body.subject() == one.subject
        assert {field.name for field in dataclasses.fields(cls)} >= set(one.data)


def test_keys_of_later_versions_are_ignored() -> None:
    plain = codec.unpack_map(FILES[0].read_bytes())
    assert Envelope.from_map({**plain, "novelty": 1}) == Envelope.from_map(plain)

"""A node's zone by name, also where only the machine knows it."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from protocol.zones import zone_name


def test_the_zone_of_the_settings_counts_then_the_variable_then_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protocol.zones._linked", lambda: "")
    monkeypatch.setenv("TZ", ":Europe/Berlin")
    assert zone_name(ZoneInfo("Asia/Tokyo")) == "Asia/Tokyo" and zone_name(None) == "Europe/Berlin"
    for nonsense in ("Nowhere/Land", "CET-1CEST,M3.5.0", "/etc/passwd", ""):
        monkeypatch.setenv("TZ", nonsense)
        assert zone_name(None) == "UTC"


def test_the_machine_is_asked_where_no_variable_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TZ", raising=False)
    monkeypatch.setattr("protocol.zones._linked", lambda: "America/New_York")
    assert zone_name(None) == "America/New_York"

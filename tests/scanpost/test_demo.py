"""The demonstration's target, rule and sample."""

from __future__ import annotations

from pathlib import Path

from pydicom import dcmread

from protocol.clock import SystemClock
from protocol.fsops import RealFs
from protocol.routing.versions import RoutingVersions
from protocol.settings import load_settings
from scanpost.demo import CALLING_AE, SERIES, Sink, publish, sample, send_one, start_sink, with_demo


def test_target_and_rule_are_published_once_and_follow_the_port(tmp_path: Path) -> None:
    settings = load_settings(tmp_path, environ={})
    assert publish(settings, 1234) is True
    assert publish(settings, 1234) is False
    assert publish(settings, 1235) is True
    current = RoutingVersions(tmp_path / "config" / "routing", RealFs(), SystemClock()).current()
    assert current.number == 2
    assert current.configuration.targets["demo"].port == 1235
    assert [rule.name for rule in current.configuration.rules] == ["demo"]


def test_what_people_configured_stays(tmp_path: Path) -> None:
    mine = {"targets": {"pacs": {"x": 1}}, "groups": {"g": {}}, "sources": {}, "rules": [{"name": "mine"}]}
    made = with_demo(mine, 1)
    assert made is not None
    assert set(made["targets"]) == {"pacs", "demo"} and made["groups"] == {"g": {}}
    assert [rule["name"] for rule in made["rules"]] == ["demo", "mine"]
    assert CALLING_AE in made["rules"][0]["when"]


def test_each_sample_is_a_new_series_of_several_images(tmp_path: Path) -> None:
    seen = set()
    for number in range(len(SERIES) + 1):
        folder = tmp_path / str(number)
        folder.mkdir()
        images = [dcmread(path) for path in sample(number, folder)]
        assert len(images) > 2
        assert len({image.SeriesInstanceUID for image in images}) == 1
        assert len({image.SOPInstanceUID for image in images}) == len(images)
        seen.add(images[0].SeriesInstanceUID)
    assert len(seen) == len(SERIES) + 1


def test_the_sample_goes_to_the_receiver_and_the_target_takes_images(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("scanpost.demo.IMAGE_S", 0.0)
    sink = Sink()
    server, port = start_sink(sink)
    try:
        settings = load_settings(tmp_path, {"receiver.host": "127.0.0.1", "receiver.port": port}, environ={})
        arrived, told = send_one(settings, 0)
    finally:
        server.stop(1.0)
    assert arrived and sink.images > 2 and f"sent {sink.images} of {sink.images}" in told

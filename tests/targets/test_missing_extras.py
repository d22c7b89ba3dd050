"""A library that is not installed, or a secret that is not there, is told with its cure, and its deliveries are held."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import pytest

from actors.targets.ladder import climb
from actors.targets.registry import make_target
from protocol.clock import SystemClock
from protocol.errors import ConfigurationError
from protocol.routing import targets as settings
from protocol.routing.checks.ourselves import ourselves
from protocol.routing.checks.whole import examine
from protocol.routing.extras import EXTRAS, lacking
from protocol.settings import Settings
from protocol.spool import open_spool
from tests.dispatcher.dispatcher_fakes import FixedRouting, configuration, deliveries, make_slot, receive, route, series

TARGETS = {
    "s3": {"type": "s3", "bucket": "images", "endpoint": "https://s3.example", "access_key": "${A}", "secret_key": "${B}"},
    "sftp": {"type": "sftp", "host": "sftp.example", "user": "u", "path": "/in", "password": "${C}"},
}  # fmt: skip
KINDS = {"s3": settings.S3Target, "sftp": settings.SftpTarget}


@pytest.mark.parametrize("kind", TARGETS)
def test_without_its_extra_a_target_says_how_to_install_it(kind, monkeypatch):
    monkeypatch.setitem(sys.modules, EXTRAS[kind], None)
    said = KINDS[kind](**TARGETS[kind])
    with pytest.raises(ConfigurationError, match=rf"pip install scanpost\[{kind}\]"):
        make_target(said)
    (step,) = climb(said)
    assert not step.ok and f"scanpost[{kind}]" in step.text


@pytest.mark.skipif(bool(lacking() & TARGETS.keys()), reason="an extra is missing (pip install .[test])")
@pytest.mark.parametrize("kind", TARGETS)
def test_a_delivery_to_a_target_that_lacks_something_here_is_held_with_that_reason(kind, tmp_path):
    spool = open_spool(tmp_path / "home", source="/test/0", create=True)
    try:
        slot = make_slot(spool, FixedRouting(TARGETS), SystemClock(), lambda name: None, make=make_target)  # type: ignore[arg-type]
        route(spool, receive(spool, series(1, 2)), kind)
        assert slot.run_once() and not slot.run_once()
        (row,) = deliveries(spool)
        assert row["state"] == "held" and "is not set" in str(row) and "environment variable" in str(row)
    finally:
        spool.close()


def test_a_check_of_the_configuration_says_what_this_machine_lacks(monkeypatch, tmp_path):
    monkeypatch.setitem(EXTRAS, "s3", "no_such_module_anywhere")
    here = ourselves(Settings(home=tmp_path))
    found = examine(configuration(TARGETS), datetime.now(UTC), here)
    (finding,) = [one for one in found if "not installed" in one.message]
    assert (finding.level, finding.place) == ("warning", "targets.s3.type") and "scanpost[s3]" in finding.cure


def test_a_check_of_the_configuration_says_that_an_unknown_server_gets_nothing():
    def found(**more):
        target = {"drop": {**TARGETS["sftp"], **more}}
        return [one for one in examine(configuration(target), datetime.now(UTC)) if one.place == "targets.drop"
                and "right one" in one.message]  # fmt: skip

    assert "target test drop" in found()[0].cure
    assert not found(host_key="SHA256:" + "A" * 43) and not found(verify=False) and not found(known_hosts="/etc/known")


def test_a_check_of_the_configuration_says_what_transcoding_lacks_or_cannot_do(monkeypatch, tmp_path):
    monkeypatch.setattr("protocol.routing.extras.CODECS", ("no_such_module_anywhere",))
    assert "transcode" in lacking()
    dicom = {"type": "dicom", "host": "pacs", "port": 104, "called_ae": "PACS"}
    folder = {"type": "folder", "path": "/data"}

    def found(target):
        findings = examine(configuration({"one": target}), datetime.now(UTC), ourselves(Settings(home=tmp_path)))
        return [(one.place, one.cure) for one in findings if "transcode" in one.message]

    assert found(dicom) == []
    ((place, cure),) = found({**dicom, "transcode": "lossless"})
    assert place == "targets.one.transcode" and "pip install scanpost[transcode]" in cure
    monkeypatch.setattr("protocol.routing.extras.CODECS", ())
    assert found({**dicom, "transcode": "lossless"}) == []
    ((place, cure),) = found({**dicom, "transcode": "lossless", "transfer_syntaxes": ["jpeg-baseline"]})
    assert place == "targets.one.transfer_syntaxes" and "explicit" in cure
    ((place, cure),) = found({**folder, "transcode": "lossless"})
    assert place == "targets.one.transcode" and "transfer_syntaxes" in cure
    assert found({**folder, "transcode": "lossless", "transfer_syntaxes": ["explicit"]}) == []

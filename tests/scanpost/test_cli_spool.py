"""`scanpost backup`, `restore` and `spool rebuild`: what is read anew from files is read as the rules want it."""

from __future__ import annotations

import shutil
import stat
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from protocol.accounts import Accounts
from protocol.clock import SystemClock
from protocol.fsops import RealFs
from protocol.header.scan import scan
from protocol.ledger.record import Ledger
from protocol.routing.parse import build
from protocol.routing.versions import RoutingVersions
from protocol.spool import Spool, open_spool
from protocol.spool.images import Incoming
from protocol.testing.images import TestImage
from scanpost.main import cli

Run = Callable[..., Result]
ASKED = "AcquisitionProtocolDescription"  # (0018,9424), which is read only while a rule asks for it
ROUTING = {
    "sources": {"ct1": {"calling_ae": "CT1", "charset": "ISO_IR 100"}},
    "rules": [{"name": "asks", "when": f"exists({ASKED}) and Source == 'ct1'", "action": "hold"}],
}


def receive(spool: Spool) -> None:
    """One image that has the element and a name in a character set that it does not tell; its association is not known."""
    image = TestImage()
    plain = image.dataset().replace(b"Test^Image", "Müller^Eva".encode("latin-1"))
    at = plain.index(struct.pack("<HH", 0x0020, 0x000D))
    data = plain[:at] + struct.pack("<HH2sH", 0x0018, 0x9424, b"LT", 4) + b"knee" + plain[at:]
    spool.images.commit([spool.images.save(
        Incoming(bytes(16), "CT1", "SCANPOST", "127.0.0.1", None, image.sop_class_uid, image.sop_uid,
                 image.transfer_syntax_uid, data, scan(data, image.transfer_syntax_uid)))])  # fmt: skip


@pytest.fixture
def node(tmp_path: Path) -> Path:
    versions = RoutingVersions(tmp_path / "config" / "routing", RealFs(), SystemClock())
    versions.publish(build(ROUTING, "test"), "ann", "first", 0)
    open_spool(tmp_path, create=True).close()
    return tmp_path


@pytest.mark.parametrize("how", ["restore", "rebuild"])
def test_what_is_read_anew_from_files_has_the_values_that_rules_ask_for(node: Path, run: Run, how: str) -> None:
    run("backup", str(node / "copies"))
    spool = open_spool(node)
    receive(spool)
    spool.close()
    if how == "restore":
        run("restore", str(node / "copies"))
    else:
        (node / "spool" / "spool.sqlite3").unlink()
        run("spool", "rebuild")
    spool = open_spool(node)
    with spool.database.read() as connection:
        (id,) = connection.execute("SELECT id FROM arrival").fetchone()
    row = spool.arrivals.subject(id)
    spool.close()
    assert row.common[ASKED] == "knee" and row.common["PatientName"] == "Müller^Eva" and row.arrival["source"] == "ct1"


def test_a_whole_node_comes_back_on_another_machine_with_all_that_belongs_to_it(
    node: Path, run: Run, tmp_path: Path
) -> None:
    (node / "config" / "scanpost.toml").write_text('[node]\nname = "radiology1"\n')
    (node / "config" / "patients.secret").write_text("secret")
    accounts = Accounts(node / "accounts.sqlite3")
    accounts.record("anna", "", "test", "node", None, None)
    accounts.close()
    ledger = Ledger(f"sqlite:///{node / 'ledger.sqlite3'}", "radiology1")
    ledger.open()
    ledger.close()
    spool = open_spool(node)
    receive(spool)
    spool.close()
    copies, other = tmp_path / "copies", tmp_path / "other"
    done = run("backup", "--whole", str(copies))
    assert {place.name for place in copies.iterdir()} == {
        "spool.sqlite3",
        "accounts.sqlite3",
        "ledger.sqlite3",
        "config",
    }
    assert done.stderr.count("written: ") == 4
    assert "name an empty folder" in run("backup", "--whole", str(copies), code=1).stderr
    shutil.copytree(node / "spool" / "images", other / "spool" / "images")
    words = ["--home", str(other), "restore", "--whole", str(copies)]
    back = CliRunner().invoke(cli, words)
    assert back.exit_code == 0 and back.stderr.count("put back: ") == 3, back.output
    assert (other / "config" / "patients.secret").read_text() == "secret"
    assert (other / "config" / "routing" / "000001.json").exists() and (other / "ledger.sqlite3").exists()
    accounts = Accounts(other / "accounts.sqlite3")
    assert [one.action for one in accounts.audit_trail(9)] == ["restore", "test"]
    accounts.close()
    spool = open_spool(other)
    assert spool.accounting.balance(files=True) == []
    spool.close()
    (other / "config" / "scanpost.toml").write_text("")
    assert "left as it is" in CliRunner().invoke(cli, words).stderr, "a configuration that is there is not overwritten"
    assert (other / "config" / "scanpost.toml").read_text() == "" and list(other.glob("accounts.sqlite3.before-*"))


def test_a_damaged_part_of_a_backup_is_not_put_back(node: Path, run: Run, tmp_path: Path) -> None:
    copies = tmp_path / "copies"
    Accounts(node / "accounts.sqlite3").close()
    run("backup", "--whole", str(copies))
    (copies / "accounts.sqlite3").write_bytes(b"no database at all" * 100)
    before = (node / "accounts.sqlite3").read_bytes()
    assert "is damaged" in run("restore", "--whole", str(copies), code=1).stderr
    assert (node / "accounts.sqlite3").read_bytes() == before and not list(node.glob("*.restoring"))


def test_a_rebuild_needs_no_more_than_the_images(node: Path, run: Run, tmp_path: Path) -> None:
    spool, other = open_spool(node), tmp_path / "other"
    receive(spool)
    spool.close()
    shutil.copytree(node / "spool" / "images", other / "spool" / "images")
    done = CliRunner().invoke(cli, ["--home", str(other), "spool", "rebuild"])
    assert done.exit_code == 0 and "1 images in 1 arrivals are held" in done.stderr


def modes(*places: Path) -> list[int]:
    return [stat.S_IMODE(place.stat().st_mode) for place in places]


def whole_backup(node: Path, run: Run, copies: Path) -> None:
    Accounts(node / "accounts.sqlite3").close()
    ledger = Ledger(f"sqlite:///{node / 'ledger.sqlite3'}", "radiology1")
    ledger.open()
    ledger.close()
    (node / "config" / "scanpost.toml").write_text("")
    run("backup", "--whole", str(copies))


def test_accounts_and_ledger_stay_their_owners_alone(node: Path, run: Run, tmp_path: Path) -> None:
    copies = tmp_path / "copies"
    whole_backup(node, run, copies)
    assert modes(copies / "accounts.sqlite3", copies / "ledger.sqlite3") == [0o600, 0o600]
    for name in ("accounts.sqlite3", "ledger.sqlite3"):
        (copies / name).chmod(0o644)  # brought from elsewhere
    run("restore", "--whole", str(copies))
    assert modes(node / "accounts.sqlite3", node / "ledger.sqlite3") == [0o600, 0o600]


@pytest.mark.parametrize("damaged", ["spool.sqlite3", "ledger.sqlite3"])
def test_of_a_backup_with_a_damaged_part_nothing_is_put_back(
    node: Path, run: Run, tmp_path: Path, damaged: str
) -> None:
    copies = tmp_path / "copies"
    whole_backup(node, run, copies)
    (copies / damaged).write_bytes(b"no database at all" * 100)
    assert "is damaged" in run("restore", "--whole", str(copies), code=1).stderr
    assert not [*node.rglob("*.before-*"), *node.rglob("*.restoring")]
    other = tmp_path / "other"
    CliRunner().invoke(cli, ["--home", str(other), "restore", "--whole", str(copies)])
    assert not (other / "config").exists(), "the next backup that is tried could not bring its own"


def test_a_configuration_that_was_put_back_by_half_is_not_taken_for_the_nodes_own(
    node: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies, other = tmp_path / "copies", tmp_path / "other"
    whole_backup(node, run, copies)

    def dies(source: Path, target: Path, **more: object) -> None:
        (target / "routing").mkdir(parents=True)
        shutil.copyfile(source / "routing" / "000001.json", target / "routing" / "000001.json")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copytree", dies)
        CliRunner().invoke(cli, ["--home", str(other), "restore", "--whole", str(copies)])
    assert (other / "config" / "routing" / "000001.json").exists()
    done = CliRunner().invoke(cli, ["--home", str(other), "restore", "--whole", str(copies)])
    assert done.exit_code == 0 and f"put back: {other / 'config'}" in done.stderr
    assert (other / "config" / "scanpost.toml").exists()
    assert {one.name for one in (other / "config").iterdir()} == {"scanpost.toml", "routing"}


def test_what_a_backup_lacks_is_said(node: Path, run: Run, tmp_path: Path) -> None:
    run("backup", str(tmp_path / "copies"))
    done = run("restore", "--whole", str(tmp_path / "copies"))
    assert "has no config, accounts.sqlite3, ledger.sqlite3" in done.stderr

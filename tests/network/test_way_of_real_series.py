"""Whole CT and MR series from DCMTK through a real node to DCMTK targets, split by rules, bit for bit."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pydicom
import pydicom.data
import pytest

from tests.network.system import ROOT, USUAL, Node, rule, target, wait_until
from tests.peers import StoreScp, dataset_bytes, needs_dcmtk, storescu

pytestmark = [needs_dcmtk, pytest.mark.slow]
BUNDLED = Path(pydicom.data.__file__).parent / "test_files"
SHARED = ROOT.parent / "shared" / "data"


def modality(path: Path) -> str:
    return str(pydicom.dcmread(path, stop_before_pixels=True, force=True).get("Modality", ""))


def ct_and_mr() -> list[Path]:
    """Whole series, each SOP instance once: a storage target keeps one file of a name."""
    candidates = [
        path for path in sorted((BUNDLED / "dicomdirtests").rglob("*")) if path.is_file() and path.name != "DICOMDIR"
    ]
    if SHARED.exists():
        candidates += sorted(SHARED.rglob("*.dcm"))
    chosen, seen = [], set()
    for path in candidates:
        header = pydicom.dcmread(path, stop_before_pixels=True, force=True)
        uid = header.get("SOPInstanceUID")
        if uid and header.get("StudyInstanceUID") and header.get("SeriesInstanceUID") and uid not in seen:
            seen.add(uid)
            chosen.append(path)
    return chosen


def digests(files: list[Path]) -> dict[str, str]:
    """SOP instance UID -> digest of the data set's bytes."""
    found = {}
    for path in files:
        uid = str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID)
        found[uid] = hashlib.sha256(dataset_bytes(path)).hexdigest()
    return found


def send_all(port: int, files: list[Path], called: str) -> None:
    """One storescu per transfer syntax, so that each image goes out in the one it is stored in."""
    by_syntax: dict[str, list[Path]] = {}
    for path in files:
        by_syntax.setdefault(
            str(pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID), []
        ).append(path)
    for syntax, group in by_syntax.items():
        done = storescu(port, group, ("-aec", called, "-R", *SYNTAX_OPTIONS.get(syntax, ())))
        assert done.returncode == 0, done.stderr


SYNTAX_OPTIONS = {
    "1.2.840.10008.1.2": ("-xi",), "1.2.840.10008.1.2.1": ("-xe",), "1.2.840.10008.1.2.2": ("-xb",),
    "1.2.840.10008.1.2.4.50": ("-xy",), "1.2.840.10008.1.2.4.51": ("-xx",), "1.2.840.10008.1.2.4.70": ("-xs",),
    "1.2.840.10008.1.2.4.80": ("-xt",), "1.2.840.10008.1.2.4.81": ("-xu",), "1.2.840.10008.1.2.4.90": ("-xv",),
    "1.2.840.10008.1.2.4.91": ("-xw",), "1.2.840.10008.1.2.5": ("-xr",),
}  # fmt: skip


@pytest.mark.timeout(240)
@pytest.mark.parametrize("bus", [True, False], ids=["bus", "no-bus"])
def test_series_are_split_by_modality_and_arrive_bit_for_bit(tmp_path, bus):
    files = ct_and_mr()
    wanted = {"ct": [p for p in files if modality(p) == "CT"], "mr": [p for p in files if modality(p) == "MR"]}
    wanted["both"] = wanted["ct"] + wanted["mr"]
    assert len(wanted["ct"]) > 50 and len(wanted["mr"]) > 10
    with (
        StoreScp(tmp_path / "reference", options=("+B", "+uf")) as reference,
        StoreScp(tmp_path / "ct", options=("+B", "+uf")) as ct,
        StoreScp(tmp_path / "mr", options=("+B", "+uf")) as mr,
        StoreScp(tmp_path / "both", options=("+B", "+uf")) as both,
    ):
        node = Node(tmp_path / "home", bus=bus, environment=USUAL)
        node.route(
            {"ct": target(ct.port), "mr": target(mr.port), "both": target(both.port)},
            [
                rule("ct", "Modality == 'CT'", "ct"),
                rule("mr", "Modality == 'MR'", "mr"),
                rule("b", "Modality in ('CT','MR')", "both"),
            ],
        )
        with node:
            send_all(reference.port, files, "PACS")  # what DCMTK puts on the wire is the measure: it re-encodes some
            send_all(node.port, files, "SCANPOST")
            sinks = {"ct": ct, "mr": mr, "both": both}
            for name, sink in sinks.items():
                wait_until(
                    lambda s=sink, n=name: len(s.received()) >= len(wanted[n]),
                    120,
                    lambda n=name: f"{n}: {node.status()}\n{node.logs()}",
                )
            wait_until(lambda: node.status()["images"]["in_delivery"] == 0, 60, "deliveries are finished")
            sent = digests(reference.received())
            for name, sink in sinks.items():
                uids = {str(pydicom.dcmread(p, stop_before_pixels=True).SOPInstanceUID) for p in wanted[name]}
                assert digests(sink.received()) == {uid: sent[uid] for uid in uids}
            figures = node.status()["images"]
            assert figures["received"] == len(files) and figures["delivered"] == len(wanted["both"])
            assert figures["discarded"] == len(files) - len(wanted["both"])
            wait_until(lambda: node.json("doctor")["healthy"], 60, "doctor is content")

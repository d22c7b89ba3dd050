"""Sends a folder and prints the seconds it took, without the start of Python: `python -m bench.timed_sender HOW PORT FOLDER`.

HOW: `scanpost` (its sender as the dispatcher and `scanpost send` use it, headers read included) or `pynetdicom`
(files read included). Exit 1 if an image was not taken.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path


def main() -> None:
    how, port, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    print({"scanpost": _scanpost, "pynetdicom": _pynetdicom}[how](port, folder))


def _scanpost(port: int, folder: Path) -> float:
    from actors.dicom.bulk import send_files
    from actors.dicom.scu import Node

    node = Node("127.0.0.1", port, "ANY-SCP", "BENCH")
    begun = time.perf_counter()
    report = send_files(node, [folder])
    elapsed = time.perf_counter() - begun
    if report.failed or not report.sent:
        raise SystemExit(f"{report.failed} failed")
    return elapsed


def _pynetdicom(port: int, folder: Path) -> float:
    from pydicom import dcmread
    from pynetdicom import AE

    paths = sorted(folder.rglob("*.dcm"))
    first = dcmread(paths[0])
    begun = time.perf_counter()
    entity = AE("BENCH")
    entity.add_requested_context(first.SOPClassUID, first.file_meta.TransferSyntaxUID)
    association = entity.associate("127.0.0.1", port, max_pdu=131072)
    for path in paths:
        if association.send_c_store(dcmread(path)).Status != 0:
            raise SystemExit("refused")
    association.release()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()

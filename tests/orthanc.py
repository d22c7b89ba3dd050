"""Orthanc as the independent other side of tests: receives, keeps and sends, driven by its REST interface.
It must not import scanpost.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.peers import HOST, free_port, wait_until_listening

needs_orthanc = pytest.mark.skipif(shutil.which("Orthanc") is None, reason="Orthanc is not installed")
DICOMWEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
needs_dicomweb = pytest.mark.skipif(
    shutil.which("Orthanc") is None or not DICOMWEB.exists(), reason="Orthanc's DICOMweb plugin is not installed"
)
ANSWER_S = 60.0


class Orthanc:
    """A process with its own folder and ports, listening when the constructor returns. `nodes`: name -> (AE title, port).

    `http_port` one of your own choice, `dicomweb`: with that plugin (needs_dicomweb), `users`: name -> password, and
    nobody else; `more` settings. A folder that is there is gone on with.
    """

    def __init__(
        self, folder: Path, ae: str, nodes: dict[str, tuple[str, int]] | None = None, *, http_port: int | None = None,
        dicomweb: bool = False, users: dict[str, str] | None = None, **more: Any,
    ) -> None:  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        self.ae, self.port, self._http = ae, free_port(), http_port or free_port()
        self._users = users or {}
        modalities = {name: [title, HOST, port] for name, (title, port) in (nodes or {}).items()}
        settings = {
            "Name": ae, "DicomAet": ae, "DicomPort": self.port, "HttpPort": self._http, "DicomModalities": modalities,
            "StorageDirectory": str(folder / "storage"), "IndexDirectory": str(folder / "index"),
            "RemoteAccessAllowed": False, "SslEnabled": False, "SyncStorageArea": False,
            "AuthenticationEnabled": bool(users), "RegisteredUsers": self._users,
            "DicomCheckCalledAet": False, "DicomAlwaysAllowStore": True, "UnknownSopClassAccepted": True,
            "MaximumPduLength": 131072, "Plugins": [str(DICOMWEB)] if dicomweb else [], "SaveJobs": False,
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"}, **more,
        }  # fmt: skip
        (folder / "orthanc.json").write_text(json.dumps(settings))
        self._process = subprocess.Popen(
            ["Orthanc", str(folder / "orthanc.json")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            wait_until_listening(self.port, self._process, 30.0)
            wait_until_listening(self._http, self._process, 30.0)
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Orthanc:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """More than once is allowed."""
        self._process.kill()
        self._process.wait()

    @property
    def dicomweb_url(self) -> str:
        """Where its DICOMweb services are."""
        return f"http://{HOST}:{self._http}/dicom-web"

    def ask(self, path: str, body: bytes | None = None) -> bytes:
        """GET, or POST with a body. Raises urllib.error.HTTPError."""
        return self._open(urllib.request.Request(f"http://{HOST}:{self._http}{path}", data=body))

    def _open(self, request: urllib.request.Request) -> bytes:
        for name, password in self._users.items():
            request.add_header("Authorization", f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}")
        with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:
            data: bytes = answer.read()
            return data

    def delete(self, path: str) -> None:
        """DELETE. Raises urllib.error.HTTPError."""
        self._open(urllib.request.Request(f"http://{HOST}:{self._http}{path}", method="DELETE"))

    def json(self, path: str, body: bytes | None = None) -> Any:
        return json.loads(self.ask(path, body))

    def add(self, path: Path) -> str:
        """Put a file in; Orthanc's own name of the instance."""
        return str(self.json("/instances", path.read_bytes())["ID"])

    def send(self, node: str, instances: list[str]) -> Any:
        """C-STORE to one of `nodes` and wait for the end; what Orthanc says of the job."""
        return self.json(
            f"/modalities/{node}/store", json.dumps({"Resources": instances, "Synchronous": True}).encode()
        )

    def files(self) -> dict[str, bytes]:
        """SOP instance UID -> file of every instance."""
        found = {}
        for instance in self.json("/instances"):
            uid = self.json(f"/instances/{instance}/tags?simplify")["SOPInstanceUID"]
            found[uid] = self.ask(f"/instances/{instance}/file")
        return found

"""README's first command on a fresh clone: no .venv, no home; it installs, starts and says `ready`."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from tests.network.system import ROOT, wait_until
from tests.peers import echoscu, free_port

pytestmark = pytest.mark.slow
INSTALL_S = 400


@pytest.mark.timeout(INSTALL_S + 60)
def test_scripts_run_works_in_a_fresh_clone(tmp_path: Path) -> None:
    clone, port = tmp_path / "clone", free_port()
    subprocess.run(["git", "clone", "-q", "--no-local", str(ROOT), str(clone)], check=True)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("SCANPOST_", "VIRTUAL_ENV"))}
    environment |= {"SCANPOST_RECEIVER__PORT": str(port), "SCANPOST_WEBGUI__PORT": str(free_port()),
                    "SCANPOST_RECEIVER__HOST": "127.0.0.1", "SCANPOST_SPOOL__RESERVE_GB": "0.1",
                    "SCANPOST_SPOOL__RESERVE2_GB": "0.05"}  # fmt: skip
    process = subprocess.Popen(
        ["scripts/run"], cwd=clone, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    lines: list[str] = []
    threading.Thread(target=lambda: lines.extend(process.stdout or ()), daemon=True).start()
    try:
        wait_until(
            lambda: any(line.startswith("ready") for line in lines) or process.poll() is not None,
            INSTALL_S,
            lambda: "".join(lines),
        )
        assert process.poll() is None, "".join(lines)
        assert echoscu(port).returncode == 0
        assert (clone / "var" / "spool" / "spool.sqlite3").exists(), "its home is ./var in a checkout"
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(90) == 0

"""Where files are that go with the programs and are no Python: supervisord.conf, the documents. It must not read them."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

SHARE = Path("share") / "scanpost"


def places(name: str, packages: Path | None = None) -> list[Path]:
    """Where `name` may be, the likeliest first: at the top of a checkout, else where the wheel put it.

    Args:
        packages: the folder that our packages are in; a test says another one. The wheel's files are below the prefix of the
            installation, which is the interpreter's own (a venv), that of the packages (`pip install --user`, `--prefix`) or
            their folder itself (`--target`).
    """
    top = packages or Path(__file__).resolve().parent.parent
    prefixes = [Path(sysconfig.get_path("data")), Path(sys.prefix), *top.parents[2:3], top]
    return [top / name, *dict.fromkeys(prefix / SHARE / name for prefix in prefixes)]

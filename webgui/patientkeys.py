"""Keys of patients in addresses: the patient's id under a secret of this node, so that an address tells nobody who it is.
The same id always has the same key. It must not be used for anything that leaves the node.

AES-SIV (RFC 5297): its first half is a keyed hash of the id, and with the secret the id can be had back, so no list of
patients has to be kept to open a link.
"""

from __future__ import annotations

import base64
import os
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from protocol.errors import NotFound

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

SECRET_BYTES = 32
LONGEST = 400  # characters of a key
_WHAT = [b"scanpost patient"]


class PatientKeys:
    """Reads its secret at the first use, and makes it if there is none: config/patients.secret, for this user alone."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "patients.secret"

    def key(self, patient_id: str) -> str:
        """What stands for a patient in an address."""
        sealed = _cipher(self._path).encrypt(patient_id.encode("utf-8", "surrogatepass") or b"\0", _WHAT)
        return base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    def patient_id(self, key: str) -> str:
        """Whose key it is. Raises NotFound."""
        from cryptography.exceptions import InvalidTag

        try:
            sealed = base64.urlsafe_b64decode(key + "=" * (-len(key) % 4)) if len(key) <= LONGEST else b""
            return _cipher(self._path).decrypt(sealed, _WHAT).decode("utf-8", "surrogatepass")
        except (ValueError, InvalidTag) as exc:
            raise NotFound("there is no such patient") from exc


@lru_cache(maxsize=8)
def _cipher(path: Path) -> AESSIV:
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV  # 6 MB, once somebody looks at patients

    if not path.exists():
        _make(path)
    return AESSIV(path.read_bytes()[:SECRET_BYTES])


def _make(path: Path) -> None:
    """Whole or not at all, and never in place of one that another process made meanwhile."""
    written = path.with_name(f"{path.name}.{os.getpid()}")
    file = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(file, "wb") as new:
        new.write(os.urandom(SECRET_BYTES))
        new.flush()
        os.fsync(new.fileno())
    with suppress(FileExistsError):
        os.link(written, path)
    written.unlink()

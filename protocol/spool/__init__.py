"""The spool: state in one SQLite database, bytes in plain DICOM files. Open it with `open_spool`."""

from protocol.spool.outbox import Cursor
from protocol.spool.spool import Spool, open_spool

__all__ = ["Cursor", "Spool", "open_spool"]

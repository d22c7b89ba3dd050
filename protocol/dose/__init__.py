"""Dose reports: what an X-Ray Radiation Dose SR (PS3.16 TID 10001 and 10011) says, as plain values with known units.
It must not open files or know who asks; the router reads them of stored objects, the ledger keeps them.
"""

from protocol.dose.report import DOSE_CLASSES, FLAGS, Reading, read_report

__all__ = ["DOSE_CLASSES", "FLAGS", "Reading", "read_report"]

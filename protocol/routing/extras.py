"""Libraries that only some types of target need, as extras of the installation: which, and whether they are here.
It must not import or install them.
"""

from __future__ import annotations

from importlib.util import find_spec

EXTRAS = {"s3": "obstore", "sftp": "asyncssh"}
"""Type of target (and name of the extra) -> the module it cannot do without."""


def lacking() -> frozenset[str]:
    """Types of target that cannot work on this machine."""
    return frozenset(kind for kind, module in EXTRAS.items() if find_spec(module) is None)


def words(kind: str) -> str:
    """What is wrong where one is lacking."""
    return f"targets of type {kind} need the library {EXTRAS[kind]}, which is not installed"


def cure(kind: str) -> str:
    """And what helps."""
    return f"install it: pip install scanpost[{kind}]"

"""Who sees names and ids of patients, and what the others see instead. It must not know where they come from.

Pages: `{{ patient(value) }}` in templates (clear or masked), and `{{ reveal() }}` of macros.html where something is masked.
JSON and CSV: `hide(request, document)` or `shown(request, value)`. Searches for patients ask `sees(request)` first: who
sees them masked could else find out by asking.

Masked are: everybody or read-only users, as `[webgui] mask_phi` says, and requests with a token without the scope `phi`.
Who may, reveals them for one page and ten minutes; that stands in the audit. A token with `phi` needs no revealing; its making
stands in the audit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from protocol.accounts import Role
from webgui import auth
from webgui.keys import ACCOUNTS, CONFIG, REVEALED, SESSION

MASK = "•••"
"""The same for every value: its length and first letter tell, too."""

REVEAL_S = 600.0
MAX_REVEALED = 1000

KEYS = frozenset(
    {
        "PatientName", "PatientID", "PatientBirthDate", "PatientBirthTime", "PatientSex", "PatientAge", "PatientAddress",
        "PatientTelephoneNumbers", "OtherPatientIDs", "OtherPatientNames", "PatientMotherBirthName", "PatientComments",
        "IssuerOfPatientID", "AccessionNumber", "ReferringPhysicianName", "PerformingPhysicianName", "OperatorsName",
        "RequestingPhysician", "NameOfPhysiciansReadingStudy", "InstitutionAddress", "EthnicGroup", "Occupation",
        "patient", "patient_name", "patient_id", "patient_birth_date", "birth_date", "patient_sex", "accession_number",
        "accession", "referring_physician",
    }
)  # fmt: skip
"""Names of values that are masked in documents: keywords of PS3.6, and those of our own answers."""


def sees(request: web.Request, path: str | None = None) -> bool:
    """Whether this request may show patient data in clear; `path` of the page, if it is not the request's own."""
    session = request.get(SESSION)
    if session is None:
        return False
    if session.token:
        return session.phi and (not _masks(request) or may_reveal(request))
    return not _masks(request) or _revealed(request, path or request.path)


def may_reveal(request: web.Request) -> bool:
    """Whether whoever asks may have them revealed."""
    session = request.get(SESSION)
    if session is None:
        return False
    return session.owner is not Role.VIEWER or request.app[CONFIG].viewers_may_reveal


def shown(request: web.Request, value: object) -> str:
    """A value as this request may show it; nothing stays nothing."""
    text = "" if value is None else str(value)
    return text if not text or sees(request) else MASK


def hide(request: web.Request, document: Any, keys: frozenset[str] = KEYS) -> Any:
    """A copy of a document (mappings, lists) with the values of those keys masked, or the document if it may be shown."""
    return document if sees(request) else _hidden(document, keys)


def hide_values(request: web.Request, document: Any) -> Any:
    """The same for documents that tell values as objects of `name` and `value`, as explanations of rules do."""
    return document if sees(request) else _hidden_values(document)


async def reveal(request: web.Request, path: str) -> None:
    """From now on this session sees patient data on that page, for a while. Written into the audit first.

    Raises HTTPForbidden.
    """
    session, accounts, where = request[SESSION], request.app[ACCOUNTS], auth.address(request)
    if session.token or not may_reveal(request):
        raise web.HTTPForbidden(text="Patient data stay masked for you.")
    await auth.in_thread(lambda: accounts.record(session.who, where, "patient reveal", path))
    kept, now = request.app[REVEALED], accounts.now()
    for key in [key for key, until in kept.items() if until <= now]:
        del kept[key]
    while len(kept) >= MAX_REVEALED:
        del kept[next(iter(kept))]
    kept[session.id, path] = now + REVEAL_S


def _revealed(request: web.Request, path: str) -> bool:
    return request.app[REVEALED].get((request[SESSION].id, path), 0.0) > request.app[ACCOUNTS].now()


def _masks(request: web.Request) -> bool:
    masked = request.app[CONFIG].mask_phi
    return masked == "everybody" or (masked == "viewers" and request[SESSION].owner is Role.VIEWER)


def _hidden(value: Any, keys: frozenset[str]) -> Any:
    if isinstance(value, Mapping):
        return {key: MASK if key in keys and inner not in (None, "", [], ()) else _hidden(inner, keys)
                for key, inner in value.items()}  # fmt: skip
    if isinstance(value, list | tuple):
        return [_hidden(inner, keys) for inner in value]
    return value


def _hidden_values(value: Any) -> Any:
    if isinstance(value, Mapping):
        secret = value.get("name") in KEYS and "value" in value
        return {key: MASK if secret and key == "value" else _hidden_values(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_hidden_values(inner) for inner in value]
    return value

"""What the rows of a ledger full of years look like, as SQL that PostgreSQL and SQLite both understand. It fills nothing.

`n` counts the rows of a table, `a` is the row's arrival. Series come one to some hundred images long, two of five scanners send
half of everything, one phantom is scanned every day, many have no accession number, one study never ends, and one target,
one rule and one source were given up long ago: what is rare among the newest must be found as fast as what is common.
"""

from __future__ import annotations

from bench.past import series_header
from protocol.header.packed import pack_header
from protocol.ledger.bulk import to_json

NODE, OTHER = "bench", "annex"
BEGIN, SECONDS = 1_700_000_000.0, 2 * 365 * 86_400.0
UID = "1.2.826.0.1.3680043.10"
PHANTOM, NO_NUMBER = "QA-PHANTOM", "UNKNOWN"
_WEIGHTS = (1, 25, 1, 10, 2, 50, 1, 5, 3, 2)  # images of ten series, in a hundred


def sizes(each: int) -> list[int]:
    """How many images ten series have; together `10 * each`."""
    found = [max(1, weight * each // 10) for weight in _WEIGHTS]
    found[5] += 10 * each - sum(found)
    return found


_HEADER = series_header(1)
_HEADER_JSON = to_json(_HEADER).replace("'", "''")
_NODE = f"CASE WHEN a % 10 = 9 THEN '{OTHER}' ELSE '{NODE}' END"
_ASSOCIATION = "'0198b7c070008000' || (1000000000000000 + a)"
_RECEIPT = "'0198b7c070009000' || (1000000000000000 + n)"
_CALLING = """CASE WHEN a < {arrivals} / 50 THEN 'GONE' WHEN a % 5 = 0 THEN 'CT0' WHEN a % 5 = 1 THEN 'CT1'
    ELSE 'CT' || (a % 40) END"""
_MODALITY = """CASE WHEN a % 40 = 39 THEN 'CR' ELSE CASE a / 7 % 8 WHEN 0 THEN 'MR' WHEN 1 THEN 'US' WHEN 2 THEN 'CR'
    WHEN 3 THEN 'MR' WHEN 4 THEN 'PT' ELSE 'CT' END END"""
_STUDY = "'{uid}.' || CASE WHEN a > {arrivals} / 3 AND a <= {arrivals} / 3 + {crowd} THEN 0 ELSE a / 4 END"
_SERIES = f"{_STUDY} || '.' || a"
_TARGET = "CASE WHEN n % 2 = 0 THEN 'archive' WHEN a < {arrivals} / 50 THEN 'old' ELSE 'ai' || (a % 2) END"
_WANTED = "CASE WHEN n % 2 = 0 THEN 'archive' WHEN a < {arrivals} / 50 THEN 'old' ELSE 'ai' END"
_RULE = """CASE WHEN a < {arrivals} / 50 THEN 'former' WHEN a % 100 = 0 THEN 'odd' ELSE 'everything' END"""
_RECENT = "a > {arrivals} / 2"  # header values are kept for a year

# Table -> (how many, column -> expression). {each}, {size} images of an arrival, {time} of its opening.
ROWS: dict[str, tuple[str, dict[str, str]]] = {
    "association": ("arrivals", {
        "node": _NODE, "association": _ASSOCIATION, "calling_ae": _CALLING, "called_ae": "'SCANPOST'",
        "address": "'10.0.0.' || (a % 40)", "state": "CASE a % 200 WHEN 0 THEN 'aborted' ELSE 'released' END",
        "opened": "{time}", "closed": "{time} + 30", "images": "{size}", "bytes": "{size} * 400000",
    }),
    "arrival": ("arrivals", {
        "node": _NODE, "arrival": "a", "calling_ae": _CALLING, "called_ae": "'SCANPOST'", "study_uid": _STUDY,
        "series_uid": _SERIES, "addendum_of": "CASE a % 300 WHEN 0 THEN a - 1 ELSE 0 END", "modality": _MODALITY,
        "state": "CASE WHEN a % 5000 = 0 THEN 'held' WHEN a % 777 = 0 THEN 'discarded' WHEN a < {arrivals} * 9 / 10"
                 " THEN 'deleted' ELSE 'delivered' END",
        "since": "{time} + 60", "opened": "{time}", "completed": "{time} + 40", "why": "'released'", "images": "{size}",
        "bytes": "{size} * 400000", "decided": "{time} + 41", "decision": "a", "revision": "3", "outcome": "'route'",
        "targets": "{json_begin}'[\"archive\",\"ai\"]'{json_end}", "rules": f"{{json_begin}}'[\"' || {_RULE} || '\"]'{{json_end}}",
        "delivered": "{time} + 60", "deleted": "CASE WHEN a < {arrivals} * 9 / 10 THEN {time} + 864000 END",
        "headers": f"CASE WHEN {_RECENT} THEN {{json_begin}}'{_HEADER_JSON}'{{json_end}} END",
        "patient_id": f"CASE a % 40 WHEN 7 THEN '{PHANTOM}' ELSE 'P' || (a / 12) END",
        "patient_folded": "CASE a % 40 WHEN 7 THEN 'phantom^daily' ELSE"
                          " 'family' || (a / 12 * 7919 % 26000) || '^given' END",
        "accession": f"CASE a % 50 WHEN 3 THEN '{NO_NUMBER}' ELSE 'A' || (a / 4) END",
    }),
    "header": ("headers", {
        "node": _NODE, "arrival": "a", "received": "{time}", "share": "a / 4 % 256", "calling_ae": _CALLING,
        "called_ae": "'SCANPOST'", "address": "'10.0.0.' || (a % 40)", "source": _CALLING, "study_uid": _STUDY,
        "series_uid": _SERIES, "addendum_of": "0", "images": "{size}", "bytes": "{size} * 400000",
        "first": "{bytes_begin}" + pack_header(_HEADER).hex() + "'",
    }),
    "series": ("arrivals", {
        "node": _NODE, "arrival": "a", "received": "{time}", "completed": "{time} + 40", "scanner": _CALLING,
        "calling_ae": _CALLING, "addendum_of": "0", "images": "{size}", "bytes": "{size} * 400000", "study_uid": _STUDY,
        "series_uid": _SERIES, "sop_class_uid": "'1.2.840.10008.5.1.4.1.1.2'", "transfer_syntax_uid": "'1.2.840.10008.1.2.1'",
        "modality": _MODALITY, "body_part": "CASE a % 5 WHEN 0 THEN 'HEAD' WHEN 1 THEN 'CHEST' ELSE 'ABDOMEN' END",
        "protocol": "'protocol ' || (a / 4 % 200)", "series_description": "'axial ' || (a % 97)",
        "study_description": "'study ' || (a / 4 % 60)", "procedure": "'procedure ' || (a / 4 % 60)",
        "manufacturer": "'MAKER'", "model": "'MODEL ' || (a % 40)", "station": "'STATION' || (a % 40)",
        "device_serial": "'SN' || (a % 40)", "software": "'XA' || (30 + a * 6 / {arrivals})", "institution": "'Hospital'",
        "contrast_agent": "CASE a % 4 WHEN 0 THEN 'Agent 300' END", "sex": "CASE a / 12 % 2 WHEN 0 THEN 'F' ELSE 'M' END",
        "slice_thickness": "CASE a % 7 WHEN 0 THEN 5.0 ELSE 1.25 END", "kvp": "CASE a % 11 WHEN 0 THEN 100.0 ELSE 120.0 END",
        "field_strength": "1.5", "repetition_time": "650.0", "echo_time": "12.3", "flip_angle": "15.0", "exposure": "50.0 + a % 100",
        "ctdivol": "CASE a % 3 WHEN 0 THEN 3.0 + a % 17 END", "dlp": "CASE a % 3 WHEN 0 THEN 100.0 + a % 500 END",
        "acquisition_time": "{time} - 120", "study_time": "{time} - 600", "series_time": "{time} - 180", "age_years": "a / 12 % 90",
        "contrast": "CASE a % 4 WHEN 0 THEN 1 ELSE 0 END", "rows": "512", "columns": "512",
    }),
    "arrival_rule": ("arrivals", {"node": _NODE, "arrival": "a", "rule": _RULE, "time": "{time} + 41"}),
    "delivery": ("deliveries", {
        "node": _NODE, "delivery": "n", "arrival": "a", "target": _TARGET, "wanted": _WANTED, "priority": "'normal'",
        "state": "CASE WHEN n % 20000 = 1 THEN 'parked' ELSE 'delivered' END", "attempts": "1 + (n % 50) / 48", "images": "{size}",
        "bytes": "{size} * 400000", "created": "{time} + 41", "claimed": "{time} + 42", "finished": "{time} + 50",
        "seconds": "8", "warnings": "0",
    }),
    "image": ("images", {
        "node": _NODE, "receipt": _RECEIPT, "arrival": "a", "association": _ASSOCIATION, "sop_uid": "'{uid}.9.' || n",
        "sop_class_uid": "'1.2.840.10008.5.1.4.1.1.2'", "transfer_syntax_uid": "'1.2.840.10008.1.2.1'", "bytes": "400000",
        "digest": "'c0ffee0198b7c070' || (1000000000000000 + n)", "received": "{time} + n % 30", "why": "'received'",
        "mark": "CASE n % 5000 WHEN 17 THEN 'superseded' END",
    }),
    "delivery_image": ("images", {
        "node": _NODE, "delivery": "2 * a", "receipt": _RECEIPT, "arrival": "a", "target": "'archive'",
        "status": "CASE n % 10000 WHEN 5 THEN 45056 ELSE 0 END", "time": "{time} + 48",
    }),
    "quarantine": ("seldom", {
        "node": _NODE, "receipt": "'0198b7c07000a000' || (1000000000000000 + n)", "association": _ASSOCIATION,
        "calling_ae": _CALLING, "bytes": "400000", "reason": "'no SOP instance UID'", "received": "{time}",
    }),
    "alert_episode": ("seldom", {
        "node": _NODE, "alert": "'target.down:ai' || (n % 2)", "raised": "{time}", "text": "'ai does not answer'",
        "cleared": "{time} + 600", "severity": "'warning'", "about": "'target/ai' || (n % 2)", "count": "1",
    }),
}  # fmt: skip

# Type, of what, subject, seconds after the opening, severity, delivery, receipt, its data as JSON
EVENTS = (
    ("image.received", "images", "'image/{uid}.9.' || n", 5, 5, "NULL", _RECEIPT,
     f"'{{\"arrival\":' || a || ',\"bytes\":400000,\"sop_uid\":\"{{uid}}.9.' || n || '\",\"receipt\":\"' || {_RECEIPT} || '\"}}'"),
    ("arrival.opened", "arrivals", "'arrival/' || a", 0, 9, "NULL", "NULL", "'{\"calling_ae\":\"CT\"}'"),
    ("arrival.completed", "arrivals", "'arrival/' || a", 40, 9, "NULL", "NULL", "'{\"images\":10,\"why\":\"released\"}'"),
    ("arrival.decided", "arrivals", "'arrival/' || a", 41, 9, "NULL", "NULL",
     "'{\"outcome\":\"route\",\"revision\":3,\"rules\":[\"everything\"],\"targets\":[\"archive\",\"ai\"]}'"),
    ("delivery.created", "deliveries", "'delivery/' || n", 41, 9, "n", "NULL", "'{\"target\":\"archive\",\"images\":10}'"),
    ("delivery.claimed", "deliveries", "'delivery/' || n", 42, 5, "n", "NULL", "'{\"attempt\":1,\"owner\":\"dispatcher-0/1\"}'"),
    ("delivery.images.sent", "deliveries", "'delivery/' || n", 48, 5, "n", "NULL", "'{\"images\":[],\"target\":\"archive\"}'"),
    ("delivery.completed", "deliveries", "'delivery/' || n", 50, 9, "n", "NULL", "'{\"seconds\":8,\"images\":10}'"),
    ("arrival.delivered", "arrivals", "'arrival/' || a", 60, 9, "NULL", "NULL", "'{\"calling_ae\":\"CT\"}'"),
    ("target.paused", "seldom", "'target/archive'", 0, 13, "NULL", "NULL", "'{\"reason\":\"service\"}'"),
)  # fmt: skip


def event_columns(at: int) -> dict[str, str]:
    """Column -> expression of the event at this place of EVENTS."""
    kind, _, subject, after, severity, delivery, receipt, data = EVENTS[at]
    described = f"CASE WHEN {_RECENT} THEN {{json_begin}}'{{\"header\":{_HEADER_JSON}}}'{{json_end}} END"
    return {
        "node": _NODE, "id": f"'0198b7c07000b{at:03}' || (1000000000000000 + n)", "epoch": "1", "seq": f"n * 20 + {at}",
        "type": f"'{kind}'", "subject": subject, "time": f"{{time}} + {after}", "recorded": "{time} + 60", "correlation": "''",
        "causation": "''", "severity": str(severity), "source": "'/bench/receiver/0'",
        "arrival": "a" if kind != "target.paused" else "NULL", "delivery": delivery,
        "receipt": receipt, "data": f"{{json_begin}}{data}{{json_end}}",
        "phi": described if kind == "arrival.completed" else "NULL",
    }  # fmt: skip

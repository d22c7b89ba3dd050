"""A ledger full of years of history, made by the database itself: the same SQL for PostgreSQL and SQLite. It measures nothing.

Every arrival has some images and two deliveries; most are deleted by now, few are held, and one target and one source were
given up long ago: what is rare among the newest must be found as fast as what is common.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, text

from protocol.ledger.migrate import upgrade

NODE = "bench"
BEGIN, SECONDS = 1_700_000_000.0, 2 * 365 * 86_400.0
UID = "1.2.826.0.1.3680043.10"

# n counts from 1 to {arrivals} or {images}, a is its arrival; {step} seconds lie between two arrivals.
_TABLES: dict[str, tuple[str, str]] = {
    "association": ("arrivals", """
        node, association, calling_ae, called_ae, address, state, opened, closed, images, bytes)
        SELECT '{node}', 'as' || n, 'CT' || (n % 40), 'SCANPOST', '10.0.0.' || (n % 40), 'released', {time}, {time} + 30,
        {each}, {each} * 500000"""),
    "arrival": ("arrivals", """
        node, arrival, calling_ae, called_ae, study_uid, series_uid, addendum_of, modality, state, since, opened, completed,
        why, images, bytes, decided, decision, revision, outcome, delivered, patient_id, patient_folded, accession)
        SELECT '{node}', n, CASE WHEN n < {arrivals} / 50 THEN 'GONE' ELSE 'CT' || (n % 40) END, 'SCANPOST',
        '{uid}.' || (n / 4), '{uid}.' || (n / 4) || '.' || n, 0,
        CASE n % 8 WHEN 0 THEN 'MR' WHEN 1 THEN 'US' WHEN 2 THEN 'CR' ELSE 'CT' END,
        CASE WHEN n % 5000 = 0 THEN 'held' WHEN n < {arrivals} * 9 / 10 THEN 'deleted' ELSE 'delivered' END,
        {time} + 60, {time}, {time} + 40, 'released', {each}, {each} * 500000, {time} + 41, n, 3, 'route', {time} + 60,
        'P' || (n / 12), 'family' || (n / 12 * 7919 % 26000) || '^given', 'A' || (n / 4)"""),
    "arrival_rule": ("arrivals", """
        node, arrival, rule, time)
        SELECT '{node}', n, CASE n % 100 WHEN 0 THEN 'odd' ELSE 'everything' END, {time} + 41"""),
    "delivery": ("deliveries", """
        node, delivery, arrival, target, wanted, priority, state, attempts, images, bytes, created, claimed, finished, seconds,
        warnings)
        SELECT '{node}', n, a, CASE WHEN n % 2 = 0 THEN 'archive' WHEN a < {arrivals} / 50 THEN 'old' ELSE 'ai' || (a % 2) END,
        CASE WHEN n % 2 = 0 THEN 'archive' WHEN a < {arrivals} / 50 THEN 'old' ELSE 'ai' END, 'normal', 'delivered', 1, {each},
        {each} * 500000, {time} + 41, {time} + 42, {time} + 50, 8, 0"""),
    "image": ("images", """
        node, receipt, arrival, association, sop_uid, sop_class_uid, transfer_syntax_uid, bytes, digest, received, why)
        SELECT '{node}', '0198' || (100000000 + n), a, 'as' || a, '{uid}.9.' || n, '1.2.840.10008.5.1.4.1.1.2',
        '1.2.840.10008.1.2.1', 500000, '0198' || (100000000 + n), {time} + n % {each}, 'received'"""),
    "delivery_image": ("images", """
        node, delivery, receipt, arrival, target, status, time)
        SELECT '{node}', 2 * a, '0198' || (100000000 + n), a, 'archive', 0, {time} + 48"""),
}  # fmt: skip
_EVENT = """node, id, epoch, seq, type, subject, time, recorded, correlation, causation, severity, source, arrival, delivery,
    receipt, data) SELECT '{node}', '{kind}' || n, 1, {seq}, '{kind}', {subject}, {time} + {after}, {time} + 60, '', '',
    {severity}, '/bench/receiver/0', a, {delivery}, {receipt}, {json}"""
_EVENTS = (  # type, of what, subject, seconds after the opening, severity, delivery, receipt
    ("image.received", "images", "'image/{uid}.9.' || n", 5, 5, "NULL", "'0198' || (100000000 + n)"),
    ("arrival.opened", "arrivals", "'arrival/' || a", 0, 9, "NULL", "NULL"),
    ("arrival.completed", "arrivals", "'arrival/' || a", 40, 9, "NULL", "NULL"),
    ("arrival.decided", "arrivals", "'arrival/' || a", 41, 9, "NULL", "NULL"),
    ("delivery.created", "deliveries", "'delivery/' || n", 41, 9, "n", "NULL"),
    ("delivery.claimed", "deliveries", "'delivery/' || n", 42, 5, "n", "NULL"),
    ("delivery.images.sent", "deliveries", "'delivery/' || n", 48, 5, "n", "NULL"),
    ("delivery.completed", "deliveries", "'delivery/' || n", 50, 9, "n", "NULL"),
    ("arrival.delivered", "arrivals", "'arrival/' || a", 60, 9, "NULL", "NULL"),
    ("target.paused", "seldom", "'target/archive'", 0, 13, "NULL", "NULL"),
)


def fill(engine: Engine, arrivals: int, each: int) -> None:
    """Make the tables, and in them so many arrivals with `each` images; counted for the planner at the end."""
    upgrade(engine)
    counts = {
        "arrivals": arrivals,
        "deliveries": 2 * arrivals,
        "images": each * arrivals,
        "seldom": max(1, arrivals // 1000),
    }
    arrival_of = {"arrivals": "n", "deliveries": "(n + 1) / 2", "images": f"(n - 1) / {each} + 1", "seldom": "n * 1000"}
    postgres = engine.dialect.name == "postgresql"
    common: dict[str, Any] = {
        "node": NODE, "uid": UID, "each": each, "arrivals": arrivals, "json": "CAST('{}' AS jsonb)" if postgres else "'{}'",
        "time": f"({BEGIN} + a * {SECONDS / arrivals})",
    }  # fmt: skip
    with engine.begin() as connection:
        for table, (what, columns) in _TABLES.items():
            _insert(connection, table, columns.format(**common), counts[what], arrival_of[what], postgres)
        for at, (kind, what, subject, after, severity, delivery, receipt) in enumerate(_EVENTS):
            columns = _EVENT.format(**common, kind=kind, subject=subject.format(**common), after=after, severity=severity,
                                    delivery=delivery, receipt=receipt, seq=f"n * 10 + {at}")  # fmt: skip
            _insert(connection, "event", columns, counts[what], arrival_of[what], postgres)
        connection.execute(text(f"INSERT INTO cursor (node, consumer, epoch, seq, time) VALUES ('{NODE}', 'bookkeeper', 1,"
                                f" {counts['images'] * 10}, {BEGIN + SECONDS})"))  # fmt: skip
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE" if postgres else "ANALYZE")


def _insert(connection: Any, table: str, columns: str, count: int, arrival_of: str, postgres: bool) -> None:
    if postgres:
        connection.exec_driver_sql(
            f"INSERT INTO {table} ({columns} FROM (SELECT n, {arrival_of} AS a FROM generate_series(1, {count}) AS s(n)) AS s"
            .replace("%", "%%"), ())  # fmt: skip
    else:
        connection.exec_driver_sql(
            f"INSERT INTO {table} ({columns} FROM (WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s"
            f" WHERE n < {count}) SELECT n, {arrival_of} AS a FROM s) AS s"
        )

"""Whether a text is one SQL statement: `single_statement`. It must not judge what the statement does; the database does,
in a transaction that may only read, which a second statement in the same text could end.
"""

from __future__ import annotations

import re

from protocol.errors import LedgerError

MAX_SQL = 100_000  # characters
_SKIPPED = re.compile(
    r"""'(?:[^']|'')*'                           # text
      | "(?:[^"]|"")*"                           # name
      | --[^\n]*                                 # comment to the end of the line
      | /\*(?:[^*/]|\*(?!/)|/(?!\*))*\*/         # comment, none within
      | (?<![\w$])\$((?:[^\W\d]\w*)?)\$.*?\$\1\$ # text of PostgreSQL; behind a letter it belongs to a name
    """,
    re.VERBOSE | re.DOTALL,
)
_READ_TWO_WAYS = re.compile(r"\\'|/\*(?:[^*]|\*(?!/))*/\*")  # where a text or comment ends depends on settings
_LEFT_OPEN = re.compile(r"['\"]|/\*")


def single_statement(sql: str) -> str:
    """The statement without a last semicolon. Raises LedgerError if there is none, or another one behind it."""
    if len(sql) > MAX_SQL:
        raise LedgerError(f"the query is longer than {MAX_SQL} characters")
    if _READ_TWO_WAYS.search(sql):
        raise LedgerError(
            "a backslash before a quote, or a comment within a comment, can be read in two ways; leave it out"
        )
    bare = _SKIPPED.sub(lambda match: " " * (match.end() - match.start()), sql)
    if _LEFT_OPEN.search(bare):
        raise LedgerError("a text, name or comment in the query does not end")
    end = bare.find(";")
    if end >= 0 and bare[end + 1 :].strip():
        raise LedgerError("give one SQL statement: nothing may stand behind the semicolon")
    found, seen = (sql, bare) if end < 0 else (sql[:end], bare[:end])
    if not seen.strip():
        raise LedgerError("the query is empty")
    return found

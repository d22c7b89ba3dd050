"""Whether a text is one SQL statement: `single_statement`; and the same without its values: `without_values`. It must not judge
what the statement does; the database does, in a transaction that may only read, which a second statement could end.
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


def without_values(sql: str, most: int = 2000) -> str:
    """What was asked, without texts, numbers and comments, which may name a patient; at most so many characters.

    A name in double quotes stays only if it looks like one: SQLite takes any other for a text.
    """
    bare = _SKIPPED.sub(_kept, sql)
    if _LEFT_OPEN.search(_NAME.sub("", bare).replace("'?'", "")):
        return "(not readable as SQL)"
    return " ".join(_NUMBER.sub("?", bare).split())[:most]


def _kept(match: re.Match[str]) -> str:
    text = match[0]
    if _NAME.fullmatch(text):
        return text
    return " " if text.startswith(("--", "/*")) else "'?'"


_NAME = re.compile(r'"[a-z_]{1,30}"')
_NUMBER = re.compile(r"(?<![\w.])\d[\w.]*")

"""Accounts of people who use the web page: users, sessions, the first-run setup link, the audit trail.

Web page and command line go through `Accounts`. It must not know HTTP, cookies or pages.
"""

from protocol.accounts.accounts import Accounts
from protocol.accounts.records import AuditEntry, Role, Session, User

__all__ = ["Accounts", "AuditEntry", "Role", "Session", "User"]

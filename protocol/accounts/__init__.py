"""Accounts of people who use the web page: users, sessions, tokens, one-time links, the audit trail.

Web page and command line go through `Accounts`. It must not know HTTP, cookies or pages.
"""

from protocol.accounts.accounts import Accounts
from protocol.accounts.records import AuditEntry, Preferences, Role, Scope, Session, Token, User
from protocol.accounts.trail import Checked, Wanted

__all__ = ["Accounts", "AuditEntry", "Checked", "Preferences", "Role", "Scope", "Session", "Token", "User", "Wanted"]

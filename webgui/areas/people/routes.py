"""The addresses of users and accounts. It must not hold behaviour."""

from __future__ import annotations

from webgui.areas.people import account, api, users
from webgui.areas.people.models import (
    AccountAnswer,
    LinkAnswer,
    NewToken,
    NewUser,
    OwnColumns,
    OwnPreferences,
    SecretAnswer,
    UserChange,
    UserDetailAnswer,
    UsersAnswer,
)
from webgui.guards import Need
from webgui.route import Route
from webgui.shapes import Nothing

_ADMIN, _OWN = Need.ADMIN, Need.VIEWER
_USERS, _ACCOUNT = "/api/v1/users", "/api/v1/account"

ROUTES = (
    Route("GET", "/users", users.show, _ADMIN),
    Route("POST", "/users", users.add, _ADMIN),
    Route("GET", "/users/{name}", users.detail, _ADMIN),
    Route("POST", "/users/{name}/change", users.change, _ADMIN),
    Route("POST", "/users/{name}/link", users.make_link, _ADMIN),
    Route("POST", "/users/{name}/sessions", users.end_sessions, _ADMIN),
    Route("POST", "/users/{name}/tokens", users.revoke_token, _ADMIN),
    Route("GET", "/account", account.show, _OWN),
    Route("POST", "/account/password", account.password, _OWN),
    Route("POST", "/account/preferences", account.prefer, _OWN),
    Route("POST", "/account/columns", account.columns, _OWN),
    Route("POST", "/account/sessions", account.end_sessions, _OWN),
    Route("POST", "/account/tokens", account.add_token, _OWN),
    Route("POST", "/account/tokens/revoke", account.revoke_token, _OWN),
    Route("POST", "/reveal", account.reveal, _OWN),
    Route("GET", "/reset", account.link, Need.NOTHING),
    Route("POST", "/reset", account.use_link, Need.NOTHING),
    Route("GET", _USERS, api.list_users, _ADMIN, "All users.", answer=UsersAnswer),
    Route("POST", _USERS, api.add_user, _ADMIN, "Add a user; answers the one-time link by which they set their password.",
          body=NewUser, answer=LinkAnswer),
    Route("GET", _USERS + "/{name}", api.show_user, _ADMIN, "One user with sessions and tokens.", answer=UserDetailAnswer),
    Route("PATCH", _USERS + "/{name}", api.change_user, _ADMIN, "Change a user's role, shut the user out or let them in again.",
          body=UserChange, answer=UserDetailAnswer),
    Route("POST", _USERS + "/{name}/link", api.make_link, _ADMIN, "A one-time link by which the user sets a new password.",
          answer=LinkAnswer),
    Route("DELETE", _USERS + "/{name}/sessions", api.end_sessions, _ADMIN, "End all sessions of a user.", answer=Nothing),
    Route("DELETE", _USERS + "/{name}/tokens/{id}", api.revoke_token, _ADMIN, "Revoke a token of a user.", answer=Nothing),
    Route("GET", _ACCOUNT, api.show_account, _OWN, "Whoever asks: role, preferences, sessions, tokens.", answer=AccountAnswer),
    Route("PUT", _ACCOUNT + "/preferences", api.prefer, _OWN, "Your theme and time zone (in a browser's session).",
          body=OwnPreferences, answer=Nothing),
    Route("PUT", _ACCOUNT + "/columns", api.set_columns, _OWN, "The columns you want in a list (in a browser's session).",
          body=OwnColumns, answer=Nothing),
    Route("POST", _ACCOUNT + "/tokens", api.add_token, _OWN, "Make a token of yours; its secret is answered this once "
          "(in a browser's session).", body=NewToken, answer=SecretAnswer),
    Route("DELETE", _ACCOUNT + "/tokens/{id}", api.revoke_own_token, _OWN, "Revoke a token of yours (in a browser's session).",
          answer=Nothing),
)  # fmt: skip

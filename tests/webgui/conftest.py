"""The web application with a fake node, cheap hashes, and logged-in clients."""

import pytest
from argon2 import PasswordHasher
from webgui_fakes import PASSWORD, FakeNode, Socket, log_in

from protocol.accounts import Accounts
from protocol.accounts.passwords import Passwords
from protocol.clock import SystemClock
from webgui.app import init_app
from webgui.config import WebConfig


@pytest.fixture
def node():
    return FakeNode()


@pytest.fixture
def accounts(tmp_path):
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    made = Accounts(tmp_path / "accounts.sqlite3", SystemClock(), Passwords(cheap))
    yield made
    made.close()


@pytest.fixture
def people(accounts):
    accounts.add_user("ann", "admin", PASSWORD)
    accounts.add_user("vera", "viewer", PASSWORD)
    return accounts


@pytest.fixture
def config():
    return WebConfig(tick_s=0.05, idle_tick_s=0.05, heartbeat_s=0.1, session_check_s=0.0, version="0.1.0")


@pytest.fixture
def app(config, accounts, node):
    return init_app(config, accounts, node)


@pytest.fixture
async def client(app, aiohttp_client):
    return await aiohttp_client(app)


@pytest.fixture
async def admin(client, people):
    """The client, logged in as an admin."""
    return await log_in(client, "ann")


@pytest.fixture
async def viewer(client, people):
    """The client, logged in as a viewer."""
    return await log_in(client, "vera")


@pytest.fixture
async def live(admin):
    """An open live socket of an admin."""
    origin = str(admin.make_url("/")).rstrip("/")
    async with admin.ws_connect("/ws", headers={"Origin": origin}) as ws:
        yield Socket(ws)

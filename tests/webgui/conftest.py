"""The web application with a fake node, cheap hashes, and logged-in clients."""

import pytest
from argon2 import PasswordHasher
from real_node import RealNode
from webgui_fakes import PASSWORD, FakeNode, Socket, log_in

from protocol.accounts import Accounts
from protocol.accounts.passwords import Passwords
from protocol.clock import SystemClock
from webgui.app import init_app
from webgui.config import WebConfig
from webgui.node import Node
from webgui.rules_source import RulesSource
from webgui.source import SpoolSource


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


@pytest.fixture
def real(tmp_path):
    """A node with a spool, the rule `all` and the target `pacs` (see real_node.py for what it can do)."""
    made = RealNode(tmp_path / "home")
    made.publish()
    yield made
    made.close()


@pytest.fixture
def real_app(config, accounts, real):
    """The application over a real node, with every area."""
    source, behind = SpoolSource(real.settings, real.clock), Node(real.settings, real.clock)
    yield init_app(config, accounts, source, real.clock, RulesSource(real.settings, real.clock), behind)
    behind.close()
    source.close()


@pytest.fixture
async def real_admin(real_app, aiohttp_client, people):
    """A client of the real node, logged in as an admin."""
    return await log_in(await aiohttp_client(real_app), "ann")


@pytest.fixture
async def real_viewer(real_app, aiohttp_client, people):
    """A client of the real node, logged in as a viewer."""
    return await log_in(await aiohttp_client(real_app), "vera")

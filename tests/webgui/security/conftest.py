"""The application over a real node with one arrival, and whoever may knock at it."""

import pytest
from real_node import ALL
from walking import AE, EVIL, EvilImage, parameters
from webgui_fakes import PASSWORD, log_in

from protocol.testing.images import TestImage

ROLES = ("anonymous", "viewer", "operator", "admin", "token read", "token operate", "token admin")


@pytest.fixture
def people(people):
    """As elsewhere, and an operator."""
    people.add_user("olga", "operator", PASSWORD)
    return people


@pytest.fixture
def plain(real):
    """Parameters of paths for a usual arrival."""
    return parameters(real, real.arrival(TestImage()))


@pytest.fixture
def evil(real):
    """Parameters of paths for an arrival whose texts are hostile."""
    real.publish(ALL | {"comment": "<script>alert(1)</script>"})
    return parameters(real, real.arrival(EvilImage(), calling_ae=AE), f"={EVIL}")


@pytest.fixture
async def callers(real_app, aiohttp_client, aiohttp_server, people):
    """Role -> (client, headers): browsers logged in, programs with tokens, one stranger."""
    found, server = {}, await aiohttp_server(real_app)  # one for all: each looks at its node all the time
    for role, user in (("viewer", "vera"), ("operator", "olga"), ("admin", "ann")):
        found[role] = (await log_in(await aiohttp_client(server), user), {})
    stranger = await aiohttp_client(server)
    found["anonymous"] = (stranger, {})
    for scope in ("read", "operate", "admin"):
        secret = people.tokens.create("ann", scope, [scope])
        found[f"token {scope}"] = (stranger, {"Authorization": f"Bearer {secret}"})
    return found

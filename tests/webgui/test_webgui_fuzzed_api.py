"""Whatever fits, or nearly fits, the description of the API: no 500, errors as described, answers that fit their models.

schemathesis makes the requests out of the document, to the application on a port of its own.
"""

import asyncio
import json
import re

import jsonschema
import pytest
from aiohttp import web
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from walking import parameters

from protocol.testing.images import TestImage
from webgui import openapi
from webgui.guards import Need
from webgui.keys import ACCOUNTS
from webgui.route import TABLE, Route

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

EXAMPLES = 4
"""Of each mode (what fits the description, what does not) per address."""
ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}, "fields": {"type": "object"}},
}
LIMIT_S = 30
# Starts a process each time.
LEFT_OUT = re.compile(r"/api/v1/rules/backtest.*")


@pytest.fixture
async def site(real, real_app, people):
    """Address, headers of an admin's token, parameters of paths that exist."""
    pytest.importorskip("schemathesis", reason="schemathesis is not installed (extra: test)")
    values = parameters(real, real.arrival(TestImage()))
    real.record()
    runner = web.AppRunner(real_app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    headers = {"Authorization": "Bearer " + people.tokens.create("ann", "fuzz", ["admin", "phi"])}
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", headers, values
    await runner.cleanup()


REFUSAL = jsonschema.Draft202012Validator(ERROR)


def inlined(document):
    """The same with all schemas under $defs, where a validator of one of them finds the others."""
    return json.loads(json.dumps(document).replace("#/components/schemas/", "#/$defs/"))


def model_of(operation, moved):
    """What holds an answer against the description; None: it is of no model. Made once: it checks the schema itself, too."""
    good = moved["paths"][operation.path][operation.method.lower()]["responses"].get("2XX", {})
    schema = good.get("content", {}).get("application/json", {}).get("schema")
    return schema and jsonschema.Draft202012Validator(schema | {"$defs": moved["components"]["schemas"]})


def check(answer, model):
    """The answer is one that the description promises; `model` None: of no model."""
    place = f"{answer.request.method} {answer.request.url} {answer.request.body!r:.300}: {answer.status_code} {answer.text[:300]}"
    assert answer.status_code < 500 or answer.status_code == 503, place
    try:
        if answer.status_code >= 400 and answer.request.method != "HEAD":
            REFUSAL.validate(answer.json())
        elif model and "application/json" in answer.headers.get("content-type", ""):
            model.validate(answer.json())
    except (jsonschema.ValidationError, ValueError) as exc:
        raise AssertionError(f"{place}: {str(exc)[:500]}") from exc


def fuzz(operation, mode, model, send):
    """Some requests to one address. Where nothing can be made that does not fit, none."""

    @settings(max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode), real=st.booleans())
    def one(case, real):
        check(send(case, real), model)

    try:
        one()
    except Unsatisfiable:
        assert mode.is_negative, operation.label


def knock(document, home, headers, values):
    """All addresses, each with requests that fit and some that do not; how many there were."""
    import schemathesis  # half a second, which only this file needs

    count, moved = 0, inlined(document)

    def send(case, real):
        nonlocal count
        count += 1
        if real and case.path_parameters:
            case.path_parameters.update({name: values[name] for name in case.path_parameters if name in values})
        return case.call(base_url=home, headers=headers, timeout=LIMIT_S, allow_redirects=False)

    for found in schemathesis.openapi.from_dict(document).get_all_operations():
        operation = found.ok()
        if LEFT_OUT.fullmatch(operation.path):
            continue
        model = model_of(operation, moved)
        for mode in schemathesis.GenerationMode:
            fuzz(operation, mode, model, send)
    return count


async def test_no_request_that_fits_or_nearly_fits_breaks_the_api(site, real_app):
    document = json.loads(json.dumps(openapi.document(real_app[TABLE], "1")))
    count = await asyncio.to_thread(knock, document, *site)
    assert count > 100


async def test_an_address_that_breaks_is_found(site, real_app):
    """The test of the test: its requests arrive, and a 500 is one."""
    broken = Route("GET", "/api/v1/users", None, Need.ADMIN, "Broken.")
    real_app[ACCOUNTS].sessions.list = None
    document = json.loads(json.dumps(openapi.document([broken], "1")))
    with pytest.raises(AssertionError, match="500"):
        await asyncio.to_thread(knock, document, *site)

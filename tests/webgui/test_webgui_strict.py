"""What a program sends and nobody reads is refused, at every address of the API, and nothing changes."""

import json

from walking import filled, parameters, state, table
from webgui_fakes import HOME

from protocol.testing.images import TestImage
from webgui.keys import ACCOUNTS

ODD = "nonesuch"


async def test_unknown_parameters_and_fields_are_refused_at_every_address_of_the_api(real, real_app, real_admin):
    values = parameters(real, real.arrival(TestImage()))
    real.record()
    before = state(real, real_app[ACCOUNTS])
    asked = 0
    for route in (one for one in table(real_app) if one.in_api):
        place = f"{route.method} {route.path}"
        answer = await real_admin.request(route.method, f"{filled(route.path, values)}?{ODD}=1", headers=HOME)
        assert answer.status == 422, place
        assert ODD in (await answer.json())["fields"], place
        if route.body is not None:
            for sent in ({"json": {ODD: 1}}, {"data": {ODD: "1"}}, {"data": json.dumps({"reason": "x"})}):
                answer = await real_admin.request(route.method, filled(route.path, values), headers=HOME, **sent)
                assert answer.status in (400, 422), f"{place} {sent} {await answer.text()}"
                asked += 1
        elif not route.reads:
            for sent in ({"json": {ODD: 1}}, {"json": [1]}, {"data": {ODD: "1"}}, {"data": b"x"}):
                answer = await real_admin.request(route.method, filled(route.path, values), headers=HOME, **sent)
                assert answer.status == 422 and "takes no body" in (await answer.json())["error"], f"{place} {sent}"
    assert asked > 60 and state(real, real_app[ACCOUNTS]) == before


async def test_an_empty_object_says_nothing_and_is_taken_where_there_is_nothing_to_say(real_admin, people):
    for sent in ({}, {"json": {}}, {"data": b" \n"}):
        assert (await real_admin.post("/api/v1/users/vera/link", headers=HOME, **sent)).status == 201


async def test_the_nearest_name_is_told(real, real_admin):
    for path, name, meant in (
        ("series", "modalty", "modality"),
        ("queue", "taget", "target"),
        ("logs", "programm", ""),
    ):
        answer = await (await real_admin.get(f"/api/v1/{path}?{name}=x")).json()
        assert f"did you mean '{meant}'" in answer["error"] if meant else name in answer["fields"]
    answer = await real_admin.post("/api/v1/account/tokens", json={"name": "nightly", "dayz": 7}, headers=HOME)
    assert answer.status == 422 and "did you mean 'days'" in (await answer.json())["error"]
    answer = await real_admin.post("/api/v1/rules/backtest", json={"day": 7}, headers=HOME)
    assert answer.status == 422 and "did you mean 'days'" in (await answer.json())["error"]


async def test_of_very_many_names_a_few_are_compared_and_told(real, real_admin):
    sent = {f"reason{number}" + "x" * 1000: 1 for number in range(1000)}
    answer = await real_admin.post("/api/v1/rules/lint", json=sent, headers=HOME)
    told = await answer.json()
    assert answer.status == 422 and told["error"].endswith("and 990 more that are none")
    assert len(told["error"]) < 3000 and len(told["fields"]) == 11

"""Two programs that change one thing: the second one's If-Match does not hold, and it is told who was first."""

import pytest
from real_node import ALL, PACS
from webgui_fakes import HOME

from webgui import openapi
from webgui.route import TABLE

PARTS = {
    "targets/b": {"settings": PACS | {"port": 2}},
    "groups/ai": {"settings": {"mode": "failover", "members": ["pacs"]}},
    "sources/ct1": {"settings": {"calling_ae": "CT1"}},
    "rules/extra": {"rule": ALL | {"name": "extra"}},
}


async def call(client, method, path, status=200, body=None, **headers):
    sent = HOME | {name.replace("_", "-"): value for name, value in headers.items()}
    answer = await client.request(method, f"/api/v1/{path}", json=body, headers=sent)
    assert answer.status == status, await answer.text()
    return await answer.json(), answer.headers.get("ETag")


def commented(path, text):
    """The same part with another comment, as it is put."""
    ((key, part),) = PARTS[path].items()
    return {key: part | {"comment": text}}


@pytest.fixture(params=list(PARTS))
async def part(request, real_admin):
    """Its path, with its first tag."""
    await call(real_admin, "PUT", request.param, body=PARTS[request.param])
    return request.param, (await call(real_admin, "GET", request.param))[1]


async def test_who_changes_what_was_read_goes_on_and_the_second_is_told_who_was_first(real, real_admin, part):
    path, tag = part
    assert (await call(real_admin, "GET", path))[1] == tag
    await call(real_admin, "PUT", path, body=commented(path, "first"), If_Match=f'"other", {tag}')
    number = real.versions.current().number
    for method, body in (("PUT", commented(path, "second")), ("DELETE", {})):
        told, _ = await call(real_admin, method, path, 412, body, If_Match=tag)
        assert f"ann changed it last, in version {number}" in told["error"] and "Nothing was changed" in told["error"]
    assert real.versions.current().number == number
    fresh = (await call(real_admin, "GET", path))[1]
    assert fresh != tag
    await call(real_admin, "PUT", path, body=commented(path, "second"), If_Match=fresh)
    await call(real_admin, "PUT", path, body=commented(path, "third"))
    await call(real_admin, "DELETE", path, body={}, If_Match=(await call(real_admin, "GET", path))[1])
    told, _ = await call(real_admin, "PUT", path, 412, PARTS[path], If_Match=tag)
    assert "any more: ann removed or renamed it" in told["error"]


async def test_a_change_elsewhere_is_none_of_this(real_admin, part):
    path, tag = part
    await call(real_admin, "PUT", "targets/elsewhere", body={"settings": PACS | {"port": 3}})
    await call(real_admin, "PUT", path, body=commented(path, "mine"), If_Match=tag)


async def test_what_is_to_be_new_replaces_nothing(real_admin, part):
    path, tag = part
    told, _ = await call(real_admin, "PUT", path, 412, commented(path, "x"), If_None_Match="*")
    assert "version" in told["error"] and "ann" in told["error"]
    await call(real_admin, "PUT", path, 412, commented(path, "x"), If_None_Match=tag)
    await call(real_admin, "PUT", path, body=commented(path, "x"), If_Match="*")
    await call(real_admin, "DELETE", path, body={})
    told, _ = await call(real_admin, "PUT", path, 412, PARTS[path], If_Match="*")
    await call(real_admin, "PUT", path, body=PARTS[path], If_None_Match="*")


@pytest.mark.parametrize(("value", "status"), [("", 400), ("abc", 400), ('W/"{}"', 412), ('"{}', 400)])
async def test_a_condition_that_is_none_does_not_leave_things_unprotected(real_admin, part, value, status):
    path, tag = part
    await call(real_admin, "PUT", path, status, commented(path, "x"), If_Match=value.format(tag.strip('"')))
    assert (await call(real_admin, "GET", path))[1] == tag


def test_the_description_of_the_api_has_tags_and_conditions(real_app):
    paths = openapi.document(real_app[TABLE], "1")["paths"]
    for section in ("targets", "groups", "sources", "rules"):
        methods = paths[f"/api/v1/{section}/{{name}}"]
        assert "ETag" in methods["get"]["responses"]["2XX"]["headers"] and "412" not in methods["get"]["responses"]
        for method in ("put", "delete"):
            named = [one["name"] for one in methods[method]["parameters"] if one["in"] == "header"]
            assert named == ["If-Match", "If-None-Match"] and "412" in methods[method]["responses"]

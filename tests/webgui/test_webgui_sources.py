"""Sources on the page and in the API: known ones, strangers that get a name, policy forms, removal."""

import re

import pytest
from webgui_fakes import HOME, PAGE

from protocol.routing.sources import Source
from webgui.areas.sources import pages, words


async def page(client, path, status=200):
    answer = await client.get(path, headers=PAGE)
    assert answer.status == status, await answer.text()
    return await answer.text()


async def post(client, path, data, status=303):
    answer = await client.post(path, data=data, headers=HOME | PAGE, allow_redirects=False)
    assert answer.status == status, await answer.text()
    return answer


async def call(client, method, path, status=200, **more):
    answer = await client.request(method, f"/api/v1/sources{path}", headers=HOME, **more)
    assert answer.status == status, await answer.text()
    return await answer.json()


def test_every_setting_of_a_source_has_its_words():
    assert {spec.name for spec in pages.SPECS} <= set(words.FIELDS) and "calling_ae" in Source.model_fields


async def test_a_stranger_is_shown_and_gets_a_name_with_one_press(real, real_admin):
    real.receive(calling_ae="MR<b>9")
    real.receive(calling_ae="CT1")
    text = await page(real_admin, "/sources")
    assert "MR&lt;b&gt;9" in text and "calling_ae=CT1" in text and "Name it" in text
    form = await page(real_admin, "/sources/new?calling_ae=CT1&name=ct1")
    assert 'value="CT1"' in form and 'value="ct1"' in form
    await post(real_admin, "/sources/save", {"name": "ct1", "calling_ae": "CT1", "accept": "true", "quiet_s": "12"})
    source = real.versions.current().configuration.sources["ct1"]
    assert (source.calling_ae, source.quiet_s, source.accept) == ("CT1", 12, True)
    found = await call(real_admin, "GET", "")
    assert found["sources"]["ct1"]["associations"] == 1 and [one["calling_ae"] for one in found["unknown"]] == [
        "MR<b>9"
    ]
    assert "12 s quiet" in await page(real_admin, "/sources")
    assert "CT1" in await page(real_admin, "/sources/ct1")


async def test_faults_stand_at_their_fields(real, real_admin):
    text = await (
        await post(real_admin, "/sources/save", {"name": "x", "address": "nowhere", "accept": "true"}, 422)
    ).text()
    assert "an address is like" in text and 'value="nowhere"' in text
    text = await (await post(real_admin, "/sources/save", {"name": "x", "accept": "true"}, 422)).text()
    assert "needs calling_ae, address or certificate" in text


async def test_a_source_is_renamed_and_forgotten_and_there_is_nothing_to_suggest(real, real_admin):
    await call(real_admin, "PUT", "/mr1", json={"settings": {"calling_ae": "MR1"}})
    await post(real_admin, "/sources/mr1/suggested", {}, 404)
    await post(real_admin, "/sources/save", {"was": "mr1", "base": "2", "name": "mr2", "calling_ae": "MR1"})
    source = real.versions.current().configuration.sources
    assert list(source) == ["mr2"] and source["mr2"].accept is False
    await post(real_admin, "/sources/mr2/delete", {})
    assert not real.versions.current().configuration.sources
    await page(real_admin, "/sources/mr2", 404)


async def test_the_second_of_two_editors_of_a_source_is_told(real, real_admin):
    await call(real_admin, "PUT", "/mr1", json={"settings": {"calling_ae": "MR1"}})
    assert 'name="base" value="2"' in await page(real_admin, "/sources/mr1")
    await call(real_admin, "PUT", "/mr1", json={"settings": {"calling_ae": "MR1", "quiet_s": 77}})
    mine = {"was": "mr1", "base": "2", "name": "mr1", "calling_ae": "MR1", "accept": "true", "comment": "typed"}
    text = await (await post(real_admin, "/sources/save", mine, 409)).text()
    assert "changed this source meanwhile" in text and "77" in text and ">typed</textarea>" in text
    assert real.versions.current().configuration.sources["mr1"].quiet_s == 77
    await post(real_admin, "/sources/save", mine | {"base": "3"})
    assert real.versions.current().configuration.sources["mr1"].comment == "typed"


async def test_a_source_whose_name_is_taken_is_told_at_the_name(real, real_admin):
    await call(real_admin, "PUT", "/mr1", json={"settings": {"calling_ae": "MR1"}})
    text = await (await post(real_admin, "/sources/save", {"name": "mr1", "calling_ae": "MR2"}, 422)).text()
    assert 'role="alert">There is a &#39;mr1&#39; already' in text and 'value="MR2"' in text


async def test_the_list_is_a_file_too(real, real_viewer):
    real.receive(calling_ae="=CMD()")
    text = await (await real_viewer.get("/sources?format=csv")).text()
    assert "'=CMD()" in text and re.search(r",20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ,", text)


@pytest.mark.parametrize("path", ["/sources/save", "/sources/x/delete", "/sources/x/suggested"])
async def test_a_viewer_changes_no_source(real_viewer, path):
    await post(real_viewer, path, {"name": "x"}, 403)

"""Names of rules, targets, groups and sources on pages: also `new`, which is the address of the form for new ones."""

from urllib.parse import quote

import pytest
from webgui_fakes import HOME, PAGE

NODE = {"type": "dicom", "host": "h", "port": 1, "called_ae": "P"}
NOT_NAMES = ["a/b", "..a", "a.b", "Ümläut", "a b", "-a", "A", "a" * 65, "new?x", "a%2Fb", "<b>", "a\nb"]


@pytest.fixture
def all_new(real):
    """A configuration in which everything is called new, beside others."""
    rule = {"name": "new", "when": "Modality == 'NM'", "action": "route", "targets": ["pacs"]}
    real.publish(rule, targets={"pacs": NODE, "new": {**NODE, "port": 4711}}, sources={"new": {"calling_ae": "NEWAE"}})


async def text_of(client, path, status=200):
    answer = await client.get(path, headers=PAGE)
    assert answer.status == status, (path, await answer.text())
    return await answer.text()


async def test_what_is_called_new_opens_in_its_editor_and_there_is_still_a_form_for_new_ones(real_admin, all_new):
    for path, sign in (("/rules/new", "NM"), ("/targets/new", "4711"), ("/sources/new", "NEWAE")):
        assert sign in await text_of(real_admin, path), path
        assert sign not in await text_of(real_admin, f"{path}?blank=1"), path
        area = path.rpartition("/")[0]
        assert f'href="{path}?blank=1"' in await text_of(real_admin, area)
    assert 'name="was" value="new"' in await text_of(real_admin, "/targets/new")
    assert 'name="was" value="new"' not in await text_of(real_admin, "/targets/new?type=dicom")


async def test_what_is_called_new_can_be_seen_by_who_may_only_look(real_viewer, all_new):
    for path, sign in (("/rules/new", "NM"), ("/targets/new", "4711"), ("/sources/new", "NEWAE")):
        assert sign in await text_of(real_viewer, path), path


async def test_a_group_called_new(real, real_admin):
    real.publish(
        targets={"pacs": NODE, "b": {**NODE, "port": 2}}, groups={"new": {"mode": "balance", "members": ["b"]}}
    )
    assert 'name="was" value="new"' in await text_of(real_admin, "/groups/new")
    assert 'name="was" value="new"' not in await text_of(real_admin, "/groups/new?blank=1")
    assert 'href="/groups/new?blank=1"' in await text_of(real_admin, "/targets")


@pytest.mark.parametrize("area", ["targets", "sources", "rules"])
async def test_what_is_no_name_is_refused_with_the_letters_that_are_allowed(real, real_admin, area):
    before = real.versions.current().number
    body = {"targets": {"settings": NODE}, "sources": {"settings": {"calling_ae": "X"}},
            "rules": {"rule": {"when": "True", "action": "hold"}}}[area]  # fmt: skip
    for name in NOT_NAMES:
        path = quote(name, safe="")
        answer = await real_admin.put(f"/api/v1/{area}/{path}", json=body, headers=HOME)
        assert answer.status in (404, 422), (name, await answer.text())
        if answer.status == 422:
            assert "name" in await answer.text() or "pattern" in await answer.text(), (name, await answer.text())
        assert (await real_admin.get(f"/{area}/{path}", headers=PAGE)).status == 404
    assert real.versions.current().number == before

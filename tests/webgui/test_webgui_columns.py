"""Columns of lists: chosen at the list, kept with the account; the usual ones again when all are ticked."""

import pytest
from webgui_fakes import HOME, PAGE

from webgui import columns


@pytest.mark.parametrize("name", ["series", "queue"])
async def test_a_user_leaves_columns_out_and_takes_them_back(real, real_admin, accounts, name):
    real.arrival()
    keys = [key for key, _ in columns.LISTS[name]]
    text = await (await real_admin.get(f"/{name}", headers=PAGE)).text()
    assert 'data-hide=""' in text
    for _, label in columns.LISTS[name]:
        assert text.count(f'data-label="{label}"') == 2, label  # heading and cell, so that both go
    form = {"name": name, "columns": keys[1:], "back": f"/{name}"}
    text = await (await real_admin.post("/account/columns", data=form, headers=HOME | PAGE)).text()
    assert f'data-hide="{keys[0]}"' in text and "1 hidden" in text
    assert accounts.find_user("ann").preferences.columns == {name: tuple(keys[1:])}
    form = {"name": name, "back": "https://elsewhere.example/"}
    answer = await real_admin.post("/account/columns", data=form, headers=HOME | PAGE, allow_redirects=False)
    assert answer.headers["Location"] == "/"
    text = await (await real_admin.get(f"/{name}", headers=PAGE)).text()
    assert f'data-hide="{" ".join(keys)}"' in text
    form = {"name": name, "columns": keys, "back": f"/{name}"}
    await real_admin.post("/account/columns", data=form, headers=HOME)
    assert accounts.find_user("ann").preferences.columns == {}


async def test_a_list_that_is_not_there_is_refused(real_admin):
    assert (await real_admin.post("/account/columns", data={"name": "users"}, headers=HOME)).status == 422

"""Help says which keys there are, and names only areas that exist."""

from aiohttp import web
from webgui_fakes import PAGE


async def test_help_lists_keys_and_areas_that_exist(real_viewer):
    answer = await real_viewer.get("/help", headers=PAGE)
    text = await answer.text()
    assert answer.status == 200
    assert "g h" in text and 'href="/help"' in text
    app: web.Application = real_viewer.app
    paths = {route.resource.canonical for route in app.router.routes()}
    assert all(f'href="{path}"' not in text for path in ("/series", "/queue") if path not in paths)

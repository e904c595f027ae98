"""The pages about the API load nothing from elsewhere, and all that they load is there."""

import asyncio
import re
from collections.abc import Callable, Iterator

import httpx
import pytest

from apps.world.in_process import URL, InProcess
from tests.worlds.funnel import opened_world

LOADED = re.compile(r"""(?:src|href)=["']([^"'#]+)["']|url: ?["']([^"']+)["']|spec-url=["']([^"']+)["']""")


Get = Callable[[str], httpx.Response]


@pytest.fixture(scope="module")
def get(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Get]:
    with InProcess(opened_world(tmp_path_factory.mktemp("world"))) as inside:

        async def ask(path: str) -> httpx.Response:
            async with httpx.AsyncClient(transport=inside.transport, base_url=URL) as client:
                return await client.get(path)

        yield lambda path: asyncio.run(ask(path))


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_a_page_loads_what_this_server_has(get: Get, page: str) -> None:
    text = get(page).text
    loaded = {"".join(found) for found in LOADED.findall(text)}
    assert any(each.endswith(".js") for each in loaded)
    for each in loaded:
        assert each.startswith("/"), f"{page} loads {each} from elsewhere"
        assert get(each).status_code == 200, each
    assert "//" not in re.sub(r"<!--.*?-->", "", text.replace("</", "")).replace("http://www.w3.org", ""), (
        "no other host"
    )


def test_no_file_but_those_of_the_pages_is_served(get: Get) -> None:
    for path in ("/docs-files/", "/docs-files/../core.py", "/docs-files/%2e%2e/core.py", "/docs-files//etc/passwd"):
        assert get(path).status_code == 404, path

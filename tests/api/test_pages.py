"""The reference and the problem pages in a real browser."""

from collections.abc import Callable, Iterator
from threading import Thread

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser
from werkzeug.serving import make_server

from app.api.resources import RESOURCES
from tests.api.conftest import Api


@pytest.fixture
def base_url(build: Callable[..., Api]) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, build(*RESOURCES).client.application, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_read_the_pages_and_nothing_is_blocked(browser: Browser, base_url: str, scheme: str) -> None:
    context = browser.new_context(
        color_scheme="dark" if scheme == "dark" else "light", viewport={"width": 400, "height": 800}
    )
    for path in ("/docs", "/problems", "/problems/idempotency_key_reused"):
        page = context.new_page()
        said: list[str] = []
        page.on("console", lambda message, said=said: said.append(message.text))
        page.goto(base_url + path)
        assert [violation["id"] for violation in Axe().run(page).response["violations"]] == []
        assert said == []
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), f"{path} scrolls sideways"
    context.close()

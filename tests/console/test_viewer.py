"""The diagram on a page: it shows where an instance is, stays up to date, and can be used without a mouse."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from app.console.assets import island
from tests.console.site import Site, serve

VISITS = {"Start": 1, "ToAuthorize": 1, "Authorize": 3, "ToRisky": 1, "Risky": 1, "ToReview": 1}
STATE: dict[str, Any] = {
    "status": "waiting",
    "path": [
        {"element": element, "kind": "task", "entered_at": None, "left_at": None, "count": count}
        for element, count in {
            "Start": 1,
            "ToAuthorize": 1,
            "Authorize": 3,
            "ToRisky": 1,
            "Risky": 1,
            "ToReview": 1,
        }.items()
    ],
    "waits": [{"element": "Review", "kind": "task", "due_at": "2026-12-01T12:00:00Z"}],
    "incidents": [],
}
FINDING = {
    "code": "unknown_operation",
    "severity": "error",
    "element": "Capture",
    "message": "There is no operation payment.catch.",
    "remedy": "Choose payment.capture.",
}


def inline(*findings: dict[str, str]) -> str:
    return f'<script type="application/json" class="findings">{json.dumps(findings)}</script>'


@pytest.fixture
def site(built_islands: None) -> Iterator[Site]:
    with serve() as running:
        running.answers["/payment.bpmn"] = "application/xml", (Path(__file__).parent / "payment.bpmn").read_text()
        running.answers["/state"] = "application/json", json.dumps(STATE)
        yield running


@pytest.fixture
def console_errors(page: Page) -> list[str]:
    """What the browser complains about, the page's policy included."""
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    return errors


@pytest.fixture
def show(site: Site, page: Page) -> Callable[..., Page]:
    """Opens a page with one diagram whose attributes are given, and whatever else stands on the page."""
    built = island("viewer")
    assert built is not None
    styles = "".join(f'<link rel="stylesheet" href="/static/{style}">' for style in built.styles)

    def open_page(attributes: str = "", inside: str = "", beside: str = "", *, ready: bool = True) -> Page:
        markup = (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Payment</title>{styles}'
            "<style>:root { color-scheme: light dark }</style>"
            f'<div class="diagram" data-diagram-url="/payment.bpmn" {attributes}>{inside}</div>{beside}'
            f'<script type="module" src="/static/{built.script}"></script>'
        )
        site.answers["/"] = "text/html", markup
        page.goto(site.base_url)
        if ready:
            page.locator(".diagram[data-ready]").wait_for()
        return page

    return open_page


def test_the_path_and_the_token_are_drawn(show: Callable[..., Page], console_errors: list[str]) -> None:
    page = show('data-state-url="/state"')
    for element in ("Start", "Authorize", "ToReview"):
        # A straight line is a box without height to the browser, so being there is all that can be asked of it.
        expect(page.locator(f'[data-element-id="{element}"].visited')).to_be_attached()
    expect(page.locator('[data-element-id="Review"].waiting')).to_be_visible()
    expect(page.locator('[data-element-id="Capture"].visited')).to_have_count(0)
    expect(page.get_by_role("img", name="Waiting: task, ")).to_be_visible()
    expect(page.get_by_role("img", name="3\N{MULTIPLICATION SIGN}")).to_be_visible()
    assert console_errors == []


def test_a_state_that_changes_is_drawn_and_one_that_does_not_is_not_sent_again(
    show: Callable[..., Page], site: Site
) -> None:
    page = show('data-state-url="/state" data-poll-ms="50"')
    expect(page.locator('[data-element-id="Review"].waiting')).to_be_visible()
    page.wait_for_timeout(300)
    assert site.statuses["/state", 200] == 1
    assert site.statuses["/state", 304] >= 2
    failed = {**STATE, "waits": [], "incidents": [{"element": "Capture", "message": "The gateway refused us."}]}
    site.answers["/state"] = "application/json", json.dumps(failed)
    expect(page.get_by_role("img", name="Incident: The gateway refused us.")).to_be_visible()
    expect(page.locator('[data-element-id="Review"].waiting')).to_have_count(0)


def test_an_ended_instance_is_not_asked_about_again(show: Callable[..., Page], site: Site) -> None:
    site.answers["/state"] = "application/json", json.dumps({**STATE, "status": "completed", "waits": []})
    page = show('data-state-url="/state" data-poll-ms="20"')
    expect(page.locator('[data-element-id="Start"].visited')).to_be_visible()
    page.wait_for_timeout(200)
    assert site.statuses["/state", 200] + site.statuses["/state", 304] == 1


def test_a_finding_is_marked_and_its_link_shows_the_element(
    show: Callable[..., Page], console_errors: list[str]
) -> None:
    page = show(
        inside=inline(FINDING),
        beside='<a href="#" data-element="Capture">There is no operation payment.catch.</a>',
    )
    expect(page.locator('[data-element-id="Capture"].finding-error')).to_be_visible()
    expect(page.get_by_role("img", name="Choose payment.capture.")).to_be_visible()
    link = page.get_by_role("link", name="There is no operation")
    link.click()
    expect(page.locator('[data-element-id="Capture"].selected')).to_be_visible()
    expect(link).to_have_attribute("aria-current", "true")
    assert console_errors == []


def test_findings_can_come_from_an_address(show: Callable[..., Page], site: Site) -> None:
    site.answers["/findings"] = "application/json", json.dumps([{**FINDING, "severity": "warning"}])
    page = show('data-findings-url="/findings"')
    expect(page.locator('[data-element-id="Capture"].finding-warning')).to_be_visible()


def test_the_keyboard_zooms_and_moves(show: Callable[..., Page]) -> None:
    page = show()
    page.locator(".diagram").focus()

    def view() -> str:
        return str(page.locator(".diagram .viewport").get_attribute("transform"))

    fitted = view()
    page.keyboard.press("+")
    zoomed = view()
    page.keyboard.press("ArrowRight")
    moved = view()
    page.keyboard.press("0")
    assert len({fitted, zoomed, moved}) == 3
    assert view() == fitted


def test_the_wheel_scrolls_the_page_and_not_the_diagram(show: Callable[..., Page]) -> None:
    page = show(beside='<p style="block-size: 3000px"></p>')
    before = page.locator(".diagram .viewport").get_attribute("transform")
    page.mouse.move(300, 200)
    page.mouse.wheel(0, 200)
    page.wait_for_function("window.scrollY > 0")
    assert page.locator(".diagram .viewport").get_attribute("transform") == before


@pytest.mark.parametrize("width", [360, 1200])
def test_the_mark_of_the_diagram_library_stays_visible_and_uncovered(show: Callable[..., Page], width: int) -> None:
    page = show('data-state-url="/state"')
    page.set_viewport_size({"width": width, "height": 700})
    on_top = page.locator(".bjs-powered-by").evaluate(
        "mark => { const box = mark.getBoundingClientRect();"
        "return mark.contains(document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2)) }"
    )
    assert on_top


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_lines_and_labels_stand_out_from_the_paper(show: Callable[..., Page], scheme: str) -> None:
    show().emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page = show('data-state-url="/state"', inside=inline(FINDING))
    expect(page.locator('[data-element-id="Review"].waiting')).to_be_visible()
    contrasts = page.evaluate(
        """() => {
            const light = (color) => {
                const [r, g, b] = color.match(/[\\d.]+/g).map((part) => {
                    const share = part / 255;
                    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
                });
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            const contrast = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
            return [...document.querySelectorAll('.djs-shape')].map((shape) => {
                const outline = shape.querySelector('.djs-visual > :first-child');
                const label = shape.querySelector('text');
                const paper = getComputedStyle(shape.closest('.diagram')).backgroundColor;
                const under = outline.tagName === 'text' ? paper : getComputedStyle(outline).fill;
                return label
                    ? contrast(getComputedStyle(label).fill, under)
                    : contrast(getComputedStyle(outline).stroke, paper);
            });
        }"""
    )
    assert len(contrasts) >= 8
    assert min(contrasts) >= 4.5


def test_a_diagram_that_cannot_be_loaded_says_so(show: Callable[..., Page], site: Site) -> None:
    del site.answers["/payment.bpmn"]
    page = show(ready=False)
    expect(page.get_by_role("status")).to_contain_text("The diagram could not be shown. 404")

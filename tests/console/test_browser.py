"""The console in a real browser: readable by everybody, usable by keyboard, alive while it is open."""

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from app.access import users
from app.access.models import User
from app.engine import people
from app.engine.models import Task
from app.engine.people import Completion
from app.kit.database import Database
from tests.console.seed import DIAGRAMS, PASSWORD, Seeded

Enter = Callable[[str], Page]


@pytest.fixture
def enter(page: Page, address: str) -> Enter:
    """`enter("reviewer")` is the browser of that person, at their home page. What the page complains about fails."""
    page.on("pageerror", lambda error: pytest.fail(f"script error: {error}"))

    def come(word: str) -> Page:
        page.goto(f"{address}/sign-in")
        page.get_by_label("E-mail").fill(f"{word}@mer-weir.example")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("navigation", name="Areas")).to_be_visible()
        return page

    return come


def serious(page: Page) -> list[str]:
    """What axe finds serious or critical, as rule and element."""
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {node['target']} {node.get('failureSummary', '')}"
        for one in found
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_main_pages_have_no_serious_barrier(
    enter: Enter, page: Page, address: str, seeded: Seeded, scheme: str
) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto(f"{address}/sign-in")
    barriers = {"/sign-in": serious(page)}
    enter("admin")
    paths = ["/review?queue=all", "/payments", "/repairs", "/flows", "/disputes", "/settings/users", "/audit"]
    paths += [f"/review/{seeded.tasks['open']}", f"/payments/{seeded.payments['succeeded']}", "/flows/card-payment"]
    for path in paths:
        page.goto(address + path)
        if page.locator(".diagram").count():
            expect(page.locator(".diagram").first).to_have_attribute("data-ready", "")
        barriers[path] = serious(page)
    assert {path: found for path, found in barriers.items() if found} == {}


def test_a_decision_form_has_no_serious_barrier(enter: Enter, address: str, seeded: Seeded) -> None:
    page = enter("reviewer")
    page.goto(f"{address}/review/{seeded.tasks['mine']}")
    assert serious(page) == []


def test_a_review_is_done_by_keyboard_alone(enter: Enter, address: str, database: Database, seeded: Seeded) -> None:
    page = enter("reviewer")
    page.goto(f"{address}/review")
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.locator('tr[aria-selected="true"]')).to_have_id(seeded.tasks["overdue"])
    page.keyboard.press("c")
    expect(page.get_by_text("The task is yours")).to_be_visible()
    page.wait_for_load_state()  # a page can be read before its keys work
    page.keyboard.press("a")
    expect(page.get_by_role("button", name="Approve", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Your decision is on its way")).to_be_visible()
    with database.begin() as tx:
        assert tx.session.get_one(Task, seeded.tasks["overdue"]).decision == "approve"


def test_keys_do_nothing_while_typing_and_can_be_switched_off(enter: Enter, address: str, seeded: Seeded) -> None:
    page = enter("reviewer")
    page.goto(f"{address}/review/{seeded.tasks['mine']}")
    page.get_by_label("Note").fill("")
    page.get_by_label("Note").press_sequentially("u")
    expect(page.get_by_label("Note")).to_have_value("u")
    page.locator("details.menu summary").click()
    page.get_by_role("button", name="Off").click()
    page.keyboard.press("u")
    expect(page.get_by_role("button", name="Approve", exact=True)).to_be_visible()


def test_a_reason_is_asked_for_before_anything_is_sent(
    enter: Enter, address: str, database: Database, seeded: Seeded
) -> None:
    page = enter("reviewer")
    page.goto(f"{address}/review/{seeded.tasks['mine']}")
    page.get_by_role("button", name="Reject").click()
    expect(page.get_by_label("Reason")).to_be_focused()
    with database.begin() as tx:
        assert tx.session.get_one(Task, seeded.tasks["mine"]).status == "claimed"


def test_a_note_survives_a_reload_and_a_lost_race(
    enter: Enter, address: str, database: Database, seeded: Seeded
) -> None:
    page = enter("reviewer")
    page.goto(f"{address}/review/{seeded.tasks['mine']}")
    page.get_by_label("Note").fill("A note of ten minutes' work")
    page.reload()
    expect(page.get_by_label("Note")).to_have_value("A note of ten minutes' work")
    with database.begin() as tx:
        task = tx.session.get_one(Task, seeded.tasks["mine"])
        task.assignee, task.claim_until = seeded.users["reviewer2"], None
        tx.session.flush()
        other = users.actor_of(tx.session.get_one(User, seeded.users["reviewer2"]))
        people.complete(tx, other, task.id, Completion("approve"))
    page.get_by_role("button", name="Approve", exact=True).click()
    expect(page.get_by_text("Li Wei decided “Approve” on")).to_be_visible()
    expect(page.get_by_label("Your note")).to_have_value("A note of ten minutes' work")
    assert page.evaluate("Object.keys(localStorage)") == []


def test_an_open_desk_learns_what_others_do(enter: Enter, address: str, database: Database, seeded: Seeded) -> None:
    page = enter("reviewer")
    page.goto(f"{address}/review?queue=all")
    page.keyboard.press("j")
    with database.begin() as tx:
        other = users.actor_of(tx.session.get_one(User, seeded.users["reviewer2"]))
        people.claim(tx, other, seeded.tasks["open"])
    expect(page.locator(f"#{seeded.tasks['open']}")).to_contain_text("Li Wei", timeout=15_000)
    expect(page.locator('tr[aria-selected="true"]')).to_have_count(1)


def test_a_refused_diagram_is_drawn_and_each_finding_leads_to_its_element(enter: Enter, address: str) -> None:
    page = enter("analyst")
    page.goto(f"{address}/flows/new")
    page.get_by_label("Files").set_input_files(DIAGRAMS / "refused.bpmn")
    page.get_by_role("button", name="Check and store").click()
    expect(page.locator(".diagram")).to_have_attribute("data-ready", "")
    finding = page.locator('.findings a[data-element="Validate"]').first
    finding.click()
    expect(finding).to_have_attribute("aria-current", "true")


@pytest.mark.parametrize("width", [1360, 390])
def test_the_mark_of_the_diagram_library_stays_free(enter: Enter, address: str, seeded: Seeded, width: int) -> None:
    page = enter("reviewer")
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"{address}/review/{seeded.tasks['mine']}")
    mark = page.locator(".bjs-powered-by")
    expect(mark).to_be_visible()
    mark.evaluate("mark => mark.scrollIntoView({ block: 'center' })")
    on_top = mark.evaluate(
        """mark => { const at = mark.getBoundingClientRect();
        return mark.contains(document.elementFromPoint(at.x + at.width / 2, at.y + at.height / 2)); }"""
    )
    assert on_top


def test_pages_fit_a_narrow_screen(enter: Enter, address: str, seeded: Seeded) -> None:
    page = enter("admin")
    page.set_viewport_size({"width": 390, "height": 800})
    paths = [
        "/review",
        "/payments",
        "/repairs",
        "/flows",
        f"/payments/{seeded.payments['succeeded']}",
        f"/review/{seeded.tasks['open']}",
    ]
    wide = {}
    for path in paths:
        page.goto(address + path)
        wide[path] = page.evaluate("document.documentElement.scrollWidth")
    assert {path: width for path, width in wide.items() if width > 390} == {}


def test_what_a_button_asks_for_opens_within_a_narrow_screen(enter: Enter, address: str, seeded: Seeded) -> None:
    page = enter("admin")
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(f"{address}/payments/{seeded.payments['held']}")
    page.locator("details.act > summary").first.click()
    asked = page.locator("details.act[open] > form").bounding_box()
    assert asked is not None
    assert asked["x"] >= 0
    assert asked["x"] + asked["width"] <= 390


def test_without_scripts_a_task_can_be_claimed_and_decided(
    browser: object, address: str, database: Database, seeded: Seeded
) -> None:
    context = browser.new_context(java_script_enabled=False)  # type: ignore[attr-defined]
    page = context.new_page()
    page.goto(f"{address}/sign-in")
    page.get_by_label("E-mail").fill("reviewer@mer-weir.example")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.goto(f"{address}/review/{seeded.tasks['open']}")
    page.get_by_role("button", name="Claim").click()
    page.get_by_role("button", name="Approve", exact=True).click()
    with database.begin() as tx:
        assert tx.session.get_one(Task, seeded.tasks["open"]).decision == "approve"
    context.close()

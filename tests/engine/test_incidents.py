"""An incident of the domain is shown where it happened, in the drawing of the process that holds the element."""

import pytest

from app.console.read.flow import drawing_state
from app.engine import definitions, inbox, incidents
from app.engine.lint import Upload
from tests.engine.lint.draw import bpmn, call, end, path, start, user
from tests.house import MERCHANT, House

CHILD = Upload("part.bpmn", bpmn(start(), user("ask"), end(), path("start", "ask", "end"), process="part"))
PARENT = Upload("whole.bpmn", bpmn(start(), call("c", "part"), end(), path("start", "c", "end"), process="whole"))


@pytest.mark.parametrize(
    ("found_at", "process", "shown"),
    [
        ("c#1/ask#1", "part", ["ask"]),
        ("c#1/ask#1", "", ["c"]),
        ("c#1", "", ["c"]),
        ("c#1", "part", []),
        ("", "", []),
    ],
)
def test_it_is_drawn_at_its_element(house: House, found_at: str, process: str, shown: list[str]) -> None:
    with house.database.begin() as tx:
        form = Upload(
            "review.form.json",
            b'{"id": "review", "title": "Ask", "decisions": [{"value": "approve", "label": "Approve"}]}',
        )
        definitions.deploy(tx, house.system, [CHILD, PARENT, form], publish=True)
        instance_id = inbox.start_instance(tx, house.system, "whole").id
    house.run()
    with house.database.begin() as tx:
        incidents.report(
            tx, MERCHANT, instance_id, instance_id, found_at, "contradiction", "The gateway says otherwise"
        )
        state = drawing_state(tx, house.system, instance_id, process)
    assert [row["element"] for row in state["incidents"]] == shown

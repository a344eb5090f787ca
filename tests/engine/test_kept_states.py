"""States written long ago: the bytes under `states/v<version>/` stay as they are, and whoever comes later reads them.

Each folder holds the diagrams, the state, and the rest of its story. A new version of the codec adds a folder and keeps
the old ones green by reading them.
"""

from pathlib import Path
from typing import Any

import orjson
import pytest

from app.engine import codec
from app.engine.codec import UnreadableState
from app.engine.runner import Run
from app.engine.step import Item, ItemKind, JournalKind
from tests.engine.drive import START, bundle_of

STATES = Path(__file__).parent / "states"
KEPT = sorted(path.parent.relative_to(STATES) for path in STATES.glob("v*/*/state.json"))


def item(kind: str, arguments: list[str], result: dict[str, Any]) -> Item:
    node = arguments[0]
    payloads: dict[str, tuple[ItemKind, dict[str, Any]]] = {
        "result": (ItemKind.CALL_RESULT, result),
        "retry": (ItemKind.RETRY, {}),
        "message": (ItemKind.MESSAGE, {"name": arguments[-1], "variables": result}),
        "decide": (ItemKind.TASK_COMPLETED, {"decision": arguments[-1]}),
    }
    return Item(payloads[kind][0], node, payloads[kind][1], actor="usr_1")


@pytest.mark.parametrize("name", KEPT, ids=str)
def test_an_old_state_goes_on_as_its_story_says(name: Path) -> None:
    folder = STATES / name
    story = orjson.loads((folder / "story.json").read_bytes())
    bundle = bundle_of(*(path.read_bytes() for path in sorted(folder.glob("*.bpmn"))))
    run = Run.load(bundle, (folder / "state.json").read_bytes())
    step = run.advance([], START)
    assert [[wait.node, wait.kind] for wait in step.waits] == story["waits"]
    assert [[incident.node, incident.kind] for incident in step.incidents] == story["incidents"]
    assert step.variables == story["variables"]
    taken = []
    for then in story["then"]:
        step = run.advance([item(*then)], START)
        assert not step.stale
        taken += [entry.element for entry in step.journal if entry.kind is JournalKind.TAKEN]
    assert (step.status, step.variables, taken) == (story["status"], story["final"], story["taken"])


def test_every_version_that_was_ever_written_has_kept_states() -> None:
    kept = {int(name.parts[0].removeprefix("v")) for name in KEPT}
    assert kept == set(range(1, codec.VERSION + 1))


@pytest.mark.parametrize("name", [name for name in KEPT if name.parts[0] == f"v{codec.VERSION}"], ids=str)
def test_the_newest_states_are_written_again_byte_by_byte(name: Path) -> None:
    """Whoever changes what is written raises the version."""
    folder = STATES / name
    bundle = bundle_of(*(path.read_bytes() for path in sorted(folder.glob("*.bpmn"))))
    state = (folder / "state.json").read_bytes()
    assert Run.load(bundle, state).dump() == state


@pytest.mark.parametrize("version", [0, codec.VERSION + 1, "1", None, 1.5])
def test_a_state_of_an_unknown_version_is_refused(version: object) -> None:
    folder = STATES / "v1" / "review"
    state = {**orjson.loads((folder / "state.json").read_bytes()), "v": version}
    with pytest.raises(UnreadableState):
        Run.load(bundle_of((folder / "0.bpmn").read_bytes()), orjson.dumps(state))

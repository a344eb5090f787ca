"""The journal tells which variables each element wrote, so that data changes can be read after the state is gone."""

from app.engine.step import JournalKind
from tests.engine.diagrams import call, chain, draw, end, many, script, service, start, sub
from tests.engine.drive import Drive


def wrote(drive: Drive) -> list[tuple[str, object]]:
    return [(entry.node, entry.facts["wrote"]) for entry in drive.journal if "wrote" in entry.facts]


def test_each_element_is_told_with_what_it_wrote_and_the_start_with_what_it_was_given() -> None:
    drive = Drive(draw(start(), script("a", "=x + 1", "y"), service("b"), end(), chain("s", "a", "b", "e")), x=1)
    drive.result("b#1", z=[3], y=2)
    assert wrote(drive) == [("s#1", {"x": 1}), ("a#1", {"y": 2}), ("b#1", {"z": [3]})], "the same value is no change"
    assert drive.step.variables == {"x": 1, "y": 2, "z": [3]}


def test_the_changes_of_all_elements_together_are_the_variables_at_the_end() -> None:
    loop = many("=items", "item", "=r", "results")
    inner = sub("sp", start("ps"), script("in", "=n + 1", "n"), end("pe"), chain("ps", "in", "pe"))
    drive = Drive(draw(start(), service("a", inner=loop), inner, end(), chain("s", "a", "sp", "e")), items=[1, 2], n=0)
    drive.result("a#3", r="b")
    drive.result("a#2", r="a")
    told: dict[str, object] = {}
    for entry in drive.journal:
        if not entry.node.startswith(("in#", "ps#", "pe#")):
            told.update(entry.facts.get("wrote", {}))
    assert told == drive.step.variables == {"items": [1, 2], "n": 1, "results": ["a", "b"]}


def test_a_called_process_tells_its_own_variables_in_its_own_scope() -> None:
    child = draw(start(), script("c", "=given * 2", "out"), end(), chain("s", "c", "e"), process="child")
    calling = call("k", "child", inputs={"given": "=n"}, outputs={"double": "=out"})
    drive = Drive(draw(start(), calling, end(), chain("s", "k", "e")), child, n=4)
    inside = [
        (entry.element, entry.facts["wrote"]) for entry in drive.journal if entry.scope and "wrote" in entry.facts
    ]
    assert inside == [("s", {"given": 4}), ("c", {"out": 8})]
    assert wrote(drive)[-1] == ("k#1", {"double": 8})


def test_a_long_value_is_told_by_its_size_alone() -> None:
    drive = Drive(draw(start(), service("a"), end(), chain("s", "a", "e")))
    drive.result("a#1", short="x", long="y" * 5000)
    (entry,) = [entry for entry in drive.journal if entry.kind is JournalKind.LEFT and entry.element == "a"]
    assert entry.facts == {"wrote": {"short": "x"}, "large": {"long": 5002}}

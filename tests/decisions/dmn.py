"""Builds small DMN documents, so that a test shows only the table it is about."""

from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

NAMESPACE = "https://www.omg.org/spec/DMN/20191111/MODEL/"


def document(*elements: str, namespace: str = NAMESPACE) -> bytes:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><definitions xmlns="{namespace}" id="model" name="Model">'
        f"{''.join(elements)}</definitions>"
    ).encode()


def decision(
    logic: str, *, identity: str = "d", name: str = "", requires: Sequence[str] = (), type_ref: str = ""
) -> str:
    links = "".join(requires)
    typed = f" typeRef={quoteattr(type_ref)}" if type_ref else ""
    shown = quoteattr(name or identity)
    return f'<decision id="{identity}" name={shown}><variable name={shown}{typed}/>{links}{logic}</decision>'


def needs_decision(identity: str) -> str:
    return f'<informationRequirement><requiredDecision href="#{identity}"/></informationRequirement>'


def needs_input(identity: str) -> str:
    return f'<informationRequirement><requiredInput href="#{identity}"/></informationRequirement>'


def needs_knowledge(identity: str) -> str:
    return f'<knowledgeRequirement><requiredKnowledge href="#{identity}"/></knowledgeRequirement>'


def literal(text: str) -> str:
    return f"<literalExpression><text>{escape(text)}</text></literalExpression>"


def table(
    policy: str,
    inputs: Sequence[str],
    outputs: Sequence[str],
    rules: Sequence[Sequence[str]],
    *,
    aggregation: str = "",
    allowed: str = "",
    values: Sequence[str] = (),
    defaults: Sequence[str] = (),
) -> str:
    """Rules are cells in column order; `allowed` is for the first input, `values` and `defaults` for the outputs."""
    gathered = f' aggregation="{aggregation}"' if aggregation else ""
    columns = [
        f"<input><inputExpression><text>{escape(text)}</text></inputExpression>"
        + (f"<inputValues><text>{escape(allowed)}</text></inputValues>" if allowed and index == 0 else "")
        + "</input>"
        for index, text in enumerate(inputs)
    ]
    for index, name in enumerate(outputs):
        listed = f"<outputValues><text>{escape(values[index])}</text></outputValues>" if index < len(values) else ""
        default = (
            f"<defaultOutputEntry><text>{escape(defaults[index])}</text></defaultOutputEntry>"
            if index < len(defaults)
            else ""
        )
        columns.append(f'<output name="{name}">{listed}{default}</output>')
    rows = "".join(_rule(index, cells, len(inputs)) for index, cells in enumerate(rules, 1))
    return f'<decisionTable hitPolicy="{policy}"{gathered}>{"".join(columns)}{rows}</decisionTable>'


def _rule(index: int, cells: Sequence[str], inputs: int) -> str:
    tags = ["inputEntry" if column < inputs else "outputEntry" for column in range(len(cells))]
    entries = "".join(f"<{tag}><text>{escape(cell)}</text></{tag}>" for tag, cell in zip(tags, cells, strict=True))
    return f'<rule id="r{index}"><description>Rule {index}</description>{entries}</rule>'

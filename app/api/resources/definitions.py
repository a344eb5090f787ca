"""Definitions: deploy diagrams, decisions and forms, check them, read them, publish them."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from app.access.actor import Role
from app.api.route import Answer, Body, Call, File, Listing, Query, Resource, Upload, View
from app.api.shapes import Finding
from app.engine import definitions, lint, versions
from app.engine.definitions import DefinitionRefused, definition
from app.engine.lint.gate import MAX_FILES
from app.engine.versions import definition_view
from app.errors import Conflict, FourEyes, NotFound
from app.kit.database import Json

READERS = tuple(Role)
ANALYSTS = (Role.ANALYST,)
#: What a file is called when its sender did not say; the ending tells the gate how to read it.
_ENDINGS = {"<": ".bpmn", "{": ".form.json"}
_DMN = b"omg.org/spec/DMN"

FILES = Upload(
    media_types=("application/xml", "text/xml", "application/json", "application/octet-stream"),
    max_bytes=5 * 1024 * 1024,
    description="One BPMN diagram, DMN model or form as the body, or several files as a form.",
)

resource = Resource("Definitions", "Processes, decisions and forms. A version never changes; at most one is published.")


class DefinitionView(View):
    id: str
    object: Literal["definition"]
    kind: Literal["bpmn", "dmn", "form"]
    key: str = Field(description="The process id, the model's id or the form's id")
    version: int
    name: str
    status: Literal["draft", "published", "retired"]
    file_name: str
    uses: dict[str, Any]
    warnings: list[Finding]
    created_by: str
    created_at: datetime
    published_by: str | None
    published_at: datetime | None


class DefinitionList(View):
    """What was deployed or published, in the order in which it was named."""

    object: Literal["list"]
    data: list[DefinitionView]


class LintReport(View):
    """`accepted` is false when a finding is an error: deploying these files would be refused."""

    object: Literal["lint"]
    accepted: bool
    findings: list[Finding]


class Deployment(Query):
    publish: bool = Field(default=False, description="Publish at once; refused for what you deployed yourself")


class PublishTogether(Body):
    definitions: list[str] = Field(min_length=1, max_length=MAX_FILES, description="Ids of versions")


class ListDefinitions(Listing):
    kind: Literal["bpmn", "dmn", "form"] | None = None
    key: str | None = Field(None, max_length=200)
    status: Literal["draft", "published", "retired"] | None = None


@resource.route(
    "POST",
    "/v1/definitions",
    summary="Deploy definitions",
    body=FILES,
    query=Deployment,
    response=DefinitionList,
    status=201,
    roles=ANALYSTS,
    errors=(DefinitionRefused, FourEyes, Conflict),
)
def deploy_definitions(call: Call, files: list[File], query: Deployment) -> Json:
    """All files or none become drafts. What the gate refuses is answered with `findings`: where, why, what to draw."""
    made = definitions.deploy(call.tx, call.actor, _uploads(files), publish=query.publish)
    return {"object": "list", "data": [definition_view(one) for one in made]}


@resource.route(
    "POST",
    "/v1/definitions/lint",
    summary="Check definitions",
    body=FILES,
    response=LintReport,
    roles=(Role.ANALYST, Role.INTEGRATOR),
)
def lint_definitions(call: Call, files: list[File]) -> Json:
    """The findings that deploying would give; nothing is stored."""
    found = lint.lint(_uploads(files), definitions.known(call.tx, call.actor.merchant_id))
    accepted = all(finding.severity is not lint.Severity.ERROR for finding in found)
    return {"object": "lint", "accepted": accepted, "findings": [finding.view() for finding in found]}


@resource.route(
    "POST",
    "/v1/definitions/publish",
    summary="Publish definitions together",
    body=PublishTogether,
    example={"definitions": ["def_01jd0c7xk3aa1b2c3d4e5f6g7h", "def_01jd0c7xk3bb1b2c3d4e5f6g7h"]},
    response=DefinitionList,
    roles=ANALYSTS,
    errors=(NotFound, FourEyes, DefinitionRefused, Conflict),
)
def publish_definitions(call: Call, body: PublishTogether) -> Json:
    """All or none become the versions that new flows use: for those that need each other, such as a process and the
    table whose decision it asks under a new name. Another analyst than the deployer has to do it.
    """
    made = definitions.publish_together(call.tx, call.actor, body.definitions)
    return {"object": "list", "data": [definition_view(one) for one in made]}


@resource.route(
    "GET",
    "/v1/definitions",
    summary="List definitions",
    query=ListDefinitions,
    response=DefinitionView,
    listed=True,
    roles=READERS,
)
def list_definitions(call: Call, query: ListDefinitions) -> Json:
    """All versions, the newest first; drafts are those that wait to be published."""
    page = versions.definitions(
        call.tx,
        call.actor.merchant_id,
        kind=query.kind,
        key=query.key,
        status=query.status,
        limit=query.limit,
        after=query.after,
    )
    return page.view(definition_view)


@resource.route(
    "GET", "/v1/definitions/{definition_id}", summary="Get a definition", response=DefinitionView, roles=READERS
)
def get_definition(call: Call, definition_id: str) -> Json:
    return definition_view(definition(call.tx, call.actor.merchant_id, definition_id))


@resource.route(
    "GET",
    "/v1/definitions/{definition_id}/content",
    summary="Get a definition's file",
    media_type="application/xml",
    roles=READERS,
)
def get_definition_content(call: Call, definition_id: str) -> Answer:
    """The file as it was deployed; JSON for a form."""
    found = definition(call.tx, call.actor.merchant_id, definition_id)
    media_type = "application/json" if found.kind == "form" else "application/xml"
    return Answer(content=found.content, media_type=media_type)


@resource.route(
    "POST",
    "/v1/definitions/{definition_id}/publish",
    summary="Publish a definition",
    response=DefinitionView,
    roles=ANALYSTS,
    errors=(FourEyes, DefinitionRefused, Conflict),
)
def publish_definition(call: Call, definition_id: str) -> Json:
    """New flows use this version, running ones keep theirs. Another analyst than the deployer has to do it."""
    return definition_view(definitions.publish(call.tx, call.actor, definition_id))


@resource.route(
    "POST",
    "/v1/definitions/{definition_id}/retire",
    summary="Retire a definition",
    response=DefinitionView,
    roles=ANALYSTS,
    errors=(Conflict,),
)
def retire_definition(call: Call, definition_id: str) -> Json:
    """No new flow uses it; running ones keep it."""
    return definition_view(definitions.retire(call.tx, call.actor, definition_id))


def _uploads(files: list[File]) -> list[lint.Upload]:
    return [
        lint.Upload(file.name or f"definition-{number}{_ending(file)}", file.content)
        for number, file in enumerate(files, 1)
    ]


def _ending(file: File) -> str:
    first = file.content.removeprefix(b"\xef\xbb\xbf").lstrip()[:1].decode("ascii", "replace")
    return ".dmn" if _DMN in file.content[:4000] else _ENDINGS.get(first, ".bpmn")

"""One JSON exchange with a gateway, and the two things that may be said when it gave no usable answer.

NOT_SENT only when not a byte of the request can have left; for everything after that nobody knows: UNKNOWN.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from app.gateways.port import GatewayResult, Outcome
from app.gateways.redact import redacted, without_nul
from app.kit.http import HttpClient, NoAnswer


@dataclass(frozen=True, slots=True)
class JsonAnswer:
    """A complete answer whose body is a JSON object."""

    status: int
    body: Mapping[str, Any]


class Wire:
    """`headers` go with every request and usually hold the credentials; they never appear in results."""

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        *,
        connect_seconds: float,
        total_seconds: float,
        ca_file: str = "",
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._headers = {"accept": "application/json", "user-agent": "sluice", **headers}
        self._client = HttpClient(connect_seconds=connect_seconds, total_seconds=total_seconds, ca_file=ca_file)

    def close(self) -> None:
        self._client.close()

    def get(self, path: str) -> JsonAnswer | GatewayResult:
        return self._exchange("GET", path, {}, None)

    def post(self, path: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> JsonAnswer | GatewayResult:
        content = {"content-type": "application/json", **headers}
        return self._exchange("POST", path, content, orjson.dumps(body))

    def _exchange(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None
    ) -> JsonAnswer | GatewayResult:
        answer = self._client.exchange(method, self._base_url + path, {**self._headers, **headers}, body)
        if isinstance(answer, NoAnswer):
            return GatewayResult(Outcome.UNKNOWN if answer.sent else Outcome.NOT_SENT, message=answer.message)
        try:
            content = orjson.loads(without_nul(answer.body))
        except orjson.JSONDecodeError:
            content = None
        if not isinstance(content, dict):
            message = f"HTTP {answer.status} with a body that is no JSON object"
            return GatewayResult(Outcome.UNKNOWN, gateway_code=str(answer.status), message=message)
        return JsonAnswer(answer.status, content)


def unknown(answer: JsonAnswer, message: str, code: str = "") -> GatewayResult:
    """The result for an answer that says nothing we can rely on; it keeps the answer for the person who looks."""
    return GatewayResult(
        Outcome.UNKNOWN, gateway_code=code or str(answer.status), message=message, raw=redacted(answer.body)
    )

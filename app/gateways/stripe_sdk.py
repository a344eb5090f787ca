"""Stripe's official SDK, which writes the requests, on our own HTTP client, which sees whether a byte has left.

The only file that imports the SDK. Nothing is retried, nothing is reported about this machine, and an answer is handed
on as status and JSON: what it means is decided in one place, `stripe_mapping`.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson
import stripe

from app.gateways.port import GatewayResult, Outcome
from app.gateways.redact import without_nul
from app.gateways.wire import JsonAnswer
from app.kit.http import HttpClient, NoAnswer

#: What the SDK stumbles over when a well-formed JSON object is none of Stripe's.
_STUMBLES: Final = (AttributeError, KeyError, TypeError, ValueError, RecursionError)

# Otherwise the SDK sends durations, the platform and an id of this machine along, and keeps that id in the home folder.
stripe.enable_telemetry = False


class _NothingUsable(stripe.APIConnectionError):
    """No complete JSON object came back; `sent` is False only when surely not a byte had left."""

    def __init__(self, sent: bool, message: str) -> None:
        super().__init__(message, should_retry=False)
        self.sent = sent


class _Transport(stripe.HTTPClient):
    name = "sluice"

    def __init__(self, client: HttpClient) -> None:
        super().__init__()
        self._client = client

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[str, int, Mapping[str, str]]:
        body = None if post_data is None else str(post_data).encode()
        answer = self._client.exchange(method.upper(), url, headers or {}, body)
        if isinstance(answer, NoAnswer):
            raise _NothingUsable(answer.sent, answer.message)
        text = without_nul(answer.body)
        try:
            content = orjson.loads(text)
        except orjson.JSONDecodeError:
            content = None
        if not isinstance(content, dict):
            raise _NothingUsable(sent=True, message=f"HTTP {answer.status} with a body that is no JSON object")
        # The headers stay here: one of them would make the SDK raise a warning.
        return text.decode(), answer.status, {}

    def close(self) -> None:
        self._client.close()


class StripeApi:
    """One account at Stripe, or at what stands in for it at `base_url`. Safe to share between threads."""

    def __init__(self, api_key: str, base_url: str, *, connect_seconds: float, total_seconds: float) -> None:
        self._transport = _Transport(HttpClient(connect_seconds=connect_seconds, total_seconds=total_seconds))
        self._client = stripe.StripeClient(
            api_key,
            base_addresses={"api": base_url.rstrip("/")},
            max_network_retries=0,
            http_client=self._transport,
        )

    def call(self, ask: Callable[[Any], Any]) -> JsonAnswer | GatewayResult:
        """The answer to one request made with the SDK's v1 services, or what is known about not having one."""
        try:
            answer = ask(self._client.v1)
        except _NothingUsable as nothing:
            outcome = Outcome.UNKNOWN if nothing.sent else Outcome.NOT_SENT
            return GatewayResult(outcome, message=str(nothing))
        except stripe.StripeError as error:
            if isinstance(error.http_status, int) and isinstance(error.json_body, dict):
                return JsonAnswer(error.http_status, error.json_body)
            return GatewayResult(Outcome.UNKNOWN, message=f"The SDK gave up: {type(error).__name__}")
        except _STUMBLES as error:
            return GatewayResult(Outcome.UNKNOWN, message=f"The SDK cannot read the answer: {type(error).__name__}")
        return JsonAnswer(answer.last_response.code, answer.last_response.data)

    def close(self) -> None:
        self._transport.close()

"""One chain of ids from a request to the gateway call it led to, over processes and machines.

Log lines carry the ids by themselves once they are bound. What is left for later stores `mark()` beside itself, and
whoever goes on with it does so inside `following(...)`. Spans go to OpenTelemetry's API: without its SDK they cost
next to nothing and lead nowhere.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import structlog
from opentelemetry import context
from opentelemetry.trace import ProxyTracerProvider, get_tracer, get_tracer_provider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

tracer = get_tracer("sluice")
_propagator = TraceContextTextMapPropagator()


def span(name: str, **attributes: str) -> AbstractContextManager[object]:
    """A span of something done so often that making one nobody keeps would be felt."""
    if isinstance(get_tracer_provider(), ProxyTracerProvider):
        return nullcontext()
    return tracer.start_as_current_span(name, attributes=attributes)


def mark() -> str:
    """The request's id and, where a tracer is installed, its W3C traceparent after a space; "" outside a request."""
    trace_id = str(structlog.contextvars.get_contextvars().get("trace_id", ""))
    if not context.get_current():
        return trace_id
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    parent = carrier.get("traceparent", "")
    return f"{trace_id} {parent}" if parent else trace_id


@contextmanager
def following(trace: str, **ids: str) -> Iterator[None]:
    """Work on behalf of whoever left `trace`; `ids` are what is being worked on."""
    trace_id, _, parent = trace.partition(" ")
    bound = {"trace_id": trace_id, **ids} if trace_id else ids
    tokens = structlog.contextvars.bind_contextvars(**bound)
    attached = context.attach(_propagator.extract({"traceparent": parent})) if parent else None
    try:
        yield
    finally:
        if attached is not None:
            context.detach(attached)
        structlog.contextvars.reset_contextvars(**tokens)


def request_span(name: str, traceparent: str = "") -> AbstractContextManager[object]:
    """The span of an HTTP request, under the caller's own when it sent a `traceparent`."""
    if not traceparent:
        return span(name)
    return tracer.start_as_current_span(name, context=_propagator.extract({"traceparent": traceparent}))

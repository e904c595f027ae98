"""OpenTelemetry traces, of Ray Serve's own making: one trace goes from the ingress through its calls to every stage.

Serve starts a span for each request and each call over a handle, and honours and passes on W3C `traceparent`. Here
are the exporter that it loads in every replica, a span for each stage of the funnel, and a mend. `opentelemetry` is
imported in functions, and only where Serve traces.
"""

import sys
import time
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp, Receive, Scope, Send

from serving.deploy.metrics import Metrics
from serving.funnel.runner import Outcome

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor

EXPORTER = "serving.deploy.tracing:span_processors"
"""What Serve is given as `exporter_import_path`."""


def span_processors() -> "list[SpanProcessor]":
    """Spans go out by OTLP over HTTP, in batches; OpenTelemetry's own environment variables say where to."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    return [without_queries(), BatchSpanProcessor(OTLPSpanExporter())]


def without_queries() -> "SpanProcessor":
    """Empties `url.query`, which FastAPI puts into spans: no endpoint reads one, and a key may be in it."""
    from opentelemetry.sdk.trace import SpanProcessor

    class WithoutQueries(SpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            if "url.query" in (span.attributes or {}):
                span.set_attribute("url.query", "")

    return WithoutQueries()


def tracing_on() -> bool:
    """Whether Serve traces in this process."""
    sdk = sys.modules.get("opentelemetry.sdk.trace")
    if sdk is None:
        return False
    from opentelemetry import trace

    return isinstance(trace.get_tracer_provider(), sdk.TracerProvider)


def begin_no_traces() -> None:
    """For stages: they go on with a trace of the ingress, and begin none where it decided against one.

    Serve (2.60) tells a stage nothing of such a decision, and would draw anew. Before the first request: a tracer keeps
    the sampler that it was made with.
    """
    from opentelemetry import trace
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased

    provider: Any = trace.get_tracer_provider()
    provider.sampler = ParentBased(ALWAYS_OFF)


def flush_traces() -> None:
    """Send what waits; for the end of a process."""
    from opentelemetry import trace

    provider: Any = trace.get_tracer_provider()
    provider.force_flush(2000)


class TracedMetrics(Metrics):
    """Also makes a span of each stage, once it has ended, in the request's own."""

    def stage_ended(self, client: str, stage: str, outcome: Outcome, milliseconds: float) -> None:
        """As `Metrics.stage_ended`."""
        super().stage_ended(client, stage, outcome, milliseconds)
        add_span(client, stage, outcome, milliseconds)


def add_span(client: str, stage: str, outcome: Outcome, milliseconds: float) -> None:
    """A span that ends now, where the request is traced."""
    from opentelemetry import trace

    if not trace.get_current_span().is_recording():
        return
    now = time.time_ns()
    tracer = trace.get_tracer("pinfunnel")
    attributes = {"pinfunnel.client": client, "pinfunnel.outcome": outcome}
    span = tracer.start_span(stage, start_time=now - int(milliseconds * 1e6), attributes=attributes)
    if outcome != "done":
        span.set_status(trace.StatusCode.ERROR, outcome)
    span.end(now)


class OneDecision:
    """ASGI middleware: a request that is not traced is not traced any further down either.

    Serve (2.60) forgets that it has decided against a request, and draws anew for each call over a handle: at a share
    of 1 % most traces would be single calls that nobody can tell the request of.
    """

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Calls the app, in the context of a span that is not recorded where there is none."""
        from opentelemetry import context, trace

        if trace.get_current_span().get_span_context().is_valid:
            await self._app(scope, receive, send)
            return
        flags = trace.TraceFlags(trace.TraceFlags.DEFAULT)
        nobody = trace.NonRecordingSpan(trace.SpanContext(trace_id=1, span_id=1, is_remote=False, trace_flags=flags))
        token = context.attach(trace.set_span_in_context(nobody))
        try:
            await self._app(scope, receive, send)
        finally:
            context.detach(token)

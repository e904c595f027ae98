"""Spans of stages: in the request's own trace, with how they ended, and none where the request is not traced."""

import asyncio
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.propagate import inject
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

from serving.deploy.tracing import OneDecision, add_span, begin_no_traces, tracing_on, without_queries
from serving.funnel.slots import SlotThreads


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """What is exported of a process that traces whatever its parent is traced of, and half of the rest."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=ParentBasedTraceIdRatio(0.5), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    return exporter


def recorded() -> Any:
    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED)
    parent = trace.SpanContext(trace_id=7, span_id=5, is_remote=True, trace_flags=flags)
    context = trace.set_span_in_context(trace.NonRecordingSpan(parent))
    return trace.get_tracer("test").start_as_current_span("ingress", context=context)


def test_a_stage_has_a_span_in_its_requests_trace(spans: InMemorySpanExporter) -> None:
    assert tracing_on()
    with recorded() as ingress:
        add_span("homefeed", "walk", "done", 5.0)
        add_span("homefeed", "full", "late", 2.0)
    walk, full, _ = spans.get_finished_spans()
    assert [walk.name, full.name] == ["walk", "full"]
    assert walk.context.trace_id == full.context.trace_id == 7
    assert walk.parent is not None
    assert walk.parent.span_id == ingress.get_span_context().span_id
    assert walk.end_time - walk.start_time == 5_000_000
    assert dict(walk.attributes) == {"pinfunnel.client": "homefeed", "pinfunnel.outcome": "done"}
    assert (walk.status.is_ok, full.status.is_ok) == (True, False)


def test_a_stage_that_a_slot_computes_is_in_the_same_trace(spans: InMemorySpanExporter) -> None:
    slots = SlotThreads(1)

    async def work() -> None:
        add_span("homefeed", "walk", "done", 5.0)

    try:
        with recorded():
            asyncio.run(slots.run(work))
    finally:
        slots.close()
    walk, _ = spans.get_finished_spans()
    assert (walk.name, walk.context.trace_id) == ("walk", 7)


def test_without_a_trace_there_is_no_span(spans: InMemorySpanExporter) -> None:
    for _ in range(50):
        add_span("homefeed", "walk", "done", 5.0)
    assert spans.get_finished_spans() == ()


def test_what_is_not_traced_is_not_traced_further_down(spans: InMemorySpanExporter) -> None:
    sent: list[dict[str, str]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(50):  # as Serve does of every call over a handle
            with trace.get_tracer("test").start_as_current_span("route_to_replica"):
                pass
        carrier: dict[str, str] = {}
        inject(carrier)
        sent.append(carrier)

    asyncio.run(OneDecision(app)({}, None, None))  # type: ignore[arg-type]
    assert spans.get_finished_spans() == ()
    assert sent[0]["traceparent"].endswith("-00"), "stages are told of the decision"
    with recorded():
        asyncio.run(OneDecision(app)({}, None, None))  # type: ignore[arg-type]
    assert {span.context.trace_id for span in spans.get_finished_spans()} == {7}
    assert len(spans.get_finished_spans()) == 51


def test_a_stage_begins_no_trace_and_goes_on_with_one(spans: InMemorySpanExporter) -> None:
    begin_no_traces()
    for _ in range(50):
        with trace.get_tracer("test").start_as_current_span("replica_handle_request walk generate"):
            pass
    assert spans.get_finished_spans() == ()
    with recorded():
        pass
    assert [span.context.trace_id for span in spans.get_finished_spans()] == [7]


def test_what_a_caller_wrote_into_the_query_is_in_no_span() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    for processor in (without_queries(), SimpleSpanProcessor(exporter)):
        provider.add_span_processor(processor)
    attributes = {"url.path": "/v1/models", "url.query": "x-api-key=secret"}
    provider.get_tracer("test").start_span("GET", attributes=attributes).end()
    [span] = exporter.get_finished_spans()
    assert dict(span.attributes) == {"url.path": "/v1/models", "url.query": ""}

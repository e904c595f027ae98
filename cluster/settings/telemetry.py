"""`telemetry` in pinfunnel.yaml: of how many requests a server tells single stories. Metrics are always there."""

from pydantic import Field

from cluster.settings.parsing import Settings


class TelemetrySettings(Settings):
    """Shares of requests, drawn at random. Both cost: a line of log in each stage, a few spans for each request."""

    log_share: float = Field(0.0, ge=0, le=1, description="get a line of log in the ingress and in every stage")
    trace_share: float = Field(
        0.0, ge=0, le=1, description="are traced (`pip install 'pinfunnel[otel]'`); 0: none, and nothing is loaded"
    )

"""`telemetry` in pinfunnel.yaml: which requests a server tells single stories of, and who is told of training."""

from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from cluster.settings.parsing import Settings


class MlflowSettings(Settings):
    """A tracking server that is told of every ranker that was trained.

    User and password, or a token, are given in variables of MLflow's own (`MLFLOW_TRACKING_USERNAME` …).
    """

    uri: str | None = Field(None, description="like `http://mlflow:5000`; default: what MLFLOW_TRACKING_URI says")
    experiment: str = Field(
        "pinfunnel",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,99}$",
        description="that the runs belong to; names of registered models begin so",
    )
    bundles: bool = Field(
        True, description="send the files of every version, and register those that are published; else figures alone"
    )

    @model_validator(mode="before")
    @classmethod
    def _address_alone(cls, given: Any) -> Any:
        return {"uri": given} if isinstance(given, str) else given

    @field_validator("uri")
    @classmethod
    def _address(cls, uri: str | None) -> str | None:
        if uri is not None:
            parts = urlsplit(uri)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError("expected http://host:port or https://host")
            if "@" in parts.netloc:
                raise ValueError("put user and password into MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD")
        return uri


class TelemetrySettings(Settings):
    """Shares of requests, drawn at random. Both cost: a line of log in each stage, a few spans for each request."""

    log_share: float = Field(0.0, ge=0, le=1, description="get a line of log in the ingress and in every stage")
    trace_share: float = Field(
        0.0, ge=0, le=1, description="are traced (`pip install 'pinfunnel[otel]'`); 0: none, and nothing is loaded"
    )
    mlflow: MlflowSettings | None = Field(
        None, description="an MLflow server, by its address or with more said (`pip install 'pinfunnel[mlflow]'`)"
    )

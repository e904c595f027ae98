"""An MLflow tracking server: a run for each version, its files as artifacts, published ones as registered models.

Told twice, a version has one run. MLflow is imported only where a server is set.
"""

import math
import os
from contextlib import suppress
from pathlib import Path

from cluster.errors import ConfigError
from cluster.extras import require
from cluster.settings.telemetry import MlflowSettings
from training.tracking.story import Story

MANNERS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # with MLflow's own 7 tries of two minutes each training would wait
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_DISABLE_TELEMETRY": "true",  # of the use of MLflow, to its makers
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""Variables of MLflow. What the environment says stays."""
FILES = "bundle"
"""Folder of a run's artifacts with the files of the version."""
PUBLISHED = "published"
"""Alias of the registered version that serves."""
AT_ONCE = 100
"""Entries of one call; servers take no more parameters."""


class MlflowServer:
    """One server. Every method raises whatever MLflow raises."""

    def __init__(self, settings: MlflowSettings):
        """Raises MissingPackageError without MLflow, ConfigError where no address is given."""
        self.address = settings.uri or os.environ.get("MLFLOW_TRACKING_URI", "")
        if not self.address:
            raise ConfigError("telemetry.mlflow: give `uri`, or set MLFLOW_TRACKING_URI")
        for name, value in MANNERS.items():
            os.environ.setdefault(name, value)
        require("mlflow", "mlflow", "telemetry.mlflow")
        from mlflow import MlflowClient

        self._client = MlflowClient(tracking_uri=self.address, registry_uri=self.address)
        self._settings = settings

    def tell(self, story: Story, folder: Path, published: bool) -> str:
        """The id of the version's run, which is made where there is none that is whole."""
        experiment = self._experiment()
        run = self._run_of(experiment, story)
        if run is None:
            run = self._new_run(experiment, story, folder)
        if published and self._settings.bundles:
            self._register(story, run)
        return run

    def _experiment(self) -> str:
        name = self._settings.experiment
        found = self._client.get_experiment_by_name(name)
        return str(found.experiment_id if found is not None else self._client.create_experiment(name))

    def _run_of(self, experiment: str, story: Story) -> str | None:
        wanted = f"tags.`pinfunnel.kind` = '{story.kind}' and tags.`pinfunnel.version` = '{story.version}'"
        found = self._client.search_runs([experiment], f"{wanted} and attributes.status = 'FINISHED'", max_results=1)
        return str(found[0].info.run_id) if found else None

    def _new_run(self, experiment: str, story: Story, folder: Path) -> str:
        from mlflow.entities import Metric, Param

        tags = {**story.tags, "mlflow.source.name": "pinfunnel"}
        run = self._client.create_run(experiment, tags=tags, run_name=story.name)
        run_id, now = str(run.info.run_id), int(run.info.start_time)
        try:
            figures = [Metric(name, value, now, 0) for name, value in story.figures.items()]
            for name, values in story.steps.items():
                told = enumerate(values)
                figures += [Metric(name, value, now, step) for step, value in told if math.isfinite(value)]
            params = [Param(name, value) for name, value in story.params.items()]
            for at in range(0, len(figures), AT_ONCE):
                self._client.log_batch(run_id, metrics=figures[at : at + AT_ONCE])
            for at in range(0, len(params), AT_ONCE):
                self._client.log_batch(run_id, params=params[at : at + AT_ONCE])
            if self._settings.bundles:
                self._client.log_artifacts(run_id, str(folder), FILES)
        except Exception:
            with suppress(Exception):  # the first one says why
                self._client.set_terminated(run_id, "FAILED")
            raise
        self._client.set_terminated(run_id, "FINISHED")
        return run_id

    def _register(self, story: Story, run: str) -> None:
        model = f"{self._settings.experiment}.{story.kind.replace('/', '.')}"
        self._make_model(model)
        found = self._client.search_model_versions(f"name = '{model}' and run_id = '{run}'")
        if found:
            number = found[0].version
        else:
            source = f"{self._client.get_run(run).info.artifact_uri}/{FILES}"
            made = self._client.create_model_version(model, source, run, tags=dict(story.tags), await_creation_for=0)
            number = made.version
        self._client.set_registered_model_alias(model, PUBLISHED, str(number))

    def _make_model(self, model: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(model)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

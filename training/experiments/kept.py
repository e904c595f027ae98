"""The last report of each experiment as JSON in the project's folder, where the console finds it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cluster.settings.project import Project
from training.experiments.report import TrialReport, as_json


def keep_report(project: Project, report: TrialReport) -> dict[str, Any]:
    """Writes it in place of the one before, and returns what it says. Raises OSError."""
    told = {**as_json(report), "made": datetime.now(UTC).isoformat(timespec="seconds")}
    path = _path(project, report.trial.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".writing")
    aside.write_text(json.dumps(told, indent=1) + "\n")
    aside.replace(path)
    return told


def kept_report(project: Project, name: str) -> dict[str, Any] | None:
    """The last one, or None where there is none that can be read."""
    try:
        told = json.loads(_path(project, name).read_text())
    except (OSError, ValueError):
        return None
    return told if isinstance(told, dict) and told.get("experiment") == name else None


def _path(project: Project, name: str) -> Path:
    return Path(project.local_home) / "reports" / f"experiment-{name}.json"

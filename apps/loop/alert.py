"""Tells a webhook how a round went. That nobody can be told never ends a round."""

import logging
from collections.abc import Mapping

import httpx

from apps.loop.rounds import RoundReport
from cluster.errors import ConfigError

log = logging.getLogger(__name__)

SECONDS = 10.0


def url_of(variable: str | None, environment: Mapping[str, str]) -> str | None:
    """The URL in a variable. Raises ConfigError where it is named and not set, or is none."""
    if variable is None:
        return None
    url = environment.get(variable, "")
    if not url.startswith(("https://", "http://")):
        raise ConfigError(f"loop.webhook_env: {variable} is not set to a URL: set it, or leave the key out")
    return url


def worth_telling(before: RoundReport | None, now: RoundReport) -> bool:
    """A failure, and the first round that works behind one."""
    return not now.worked or (before is not None and not before.worked)


def tell(url: str, project: str, report: RoundReport) -> bool:
    """POST `{text, project, worked, failed}`; `text` is what chat services show. Whether it arrived."""
    failed = [step.command for step in report.steps if step.failed]
    body = {
        "text": f"pinfunnel {project}: {report.text()}"[:2000],
        "project": project,
        "worked": report.worked,
        "failed": failed,
    }
    try:
        httpx.post(url, json=body, timeout=SECONDS).raise_for_status()
    except httpx.HTTPError as error:
        log.warning("the webhook was not told: %s", type(error).__name__)  # its URL is a secret
        return False
    return True

"""`logs` in pinfunnel.yaml: how long what was served and done is kept, and what users are called there."""

from pydantic import Field

from cluster.settings.parsing import Settings


class LogSettings(Settings):
    """Of the serving log, the event log, and what was set aside from them."""

    keep_days: int | None = Field(
        None, ge=1, le=36_500, description="older days are removed by `pinfunnel compact-logs`; default: none ever is"
    )
    pseudonym_key_env: str | None = Field(
        None, description="variable with a key: users' ids in the logs are keyed hashes then; default: the ids"
    )

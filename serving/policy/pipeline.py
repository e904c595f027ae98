"""A client's policy: the registered steps that its YAML asks for, in order. No Ray, no HTTP."""

from collections.abc import Iterator
from dataclasses import dataclass

from cluster.errors import ConfigError
from cluster.settings.clients import Client
from serving.policy.registry import Phase, PolicyRequest, Step
from serving.policy.slate import Slate
from serving.policy.steps import registered


@dataclass(frozen=True)
class Policy:
    """Steps, ready to apply."""

    filters: tuple[Step, ...]  # for every answer
    arrangement: tuple[Step, ...]  # only where the ranking was asked for and is there; none of them loses a pin

    @classmethod
    def of(cls, client: Client) -> "Policy":
        """Raises ConfigError for an unknown step, for settings that it refuses, and for more labels than fit."""
        kinds = registered()
        known = [kind.name for kind in kinds]
        for name in client.policy.steps:
            if name not in known:
                raise ConfigError(
                    f"client {client.name}: policy.steps: unknown step {name!r}; steps are {', '.join(sorted(known))}"
                )

        def steps(filters: bool) -> Iterator[Step]:
            for kind in kinds:
                if (kind.phase == Phase.FILTER) == filters:
                    yield from kind.make(client.policy)

        return cls(tuple(steps(True)), tuple(steps(False)))

    def apply(self, slate: Slate, request: PolicyRequest, arrange: bool) -> Slate:
        """The slate after the policy. `arrange` is off in a control arm and without a ranking."""
        for step in (*self.filters, *(self.arrangement if arrange else ())):
            slate = step(slate, request)
        return slate

"""What a stage works out once for each client, and once more for each arm that changes one of its settings."""

import threading
from collections.abc import Callable, Collection, Mapping
from typing import Generic, TypeVar

from cluster.settings.clients import Client
from serving.request.arm import ArmSettings
from serving.request.ask import WalkAsk

T = TypeVar("T")

MOST = 1024
"""Arms of which a process remembers what it made of them."""

Derive = Callable[[ArmSettings], Client]
"""The client as an arm has it."""


class PerArm(Generic[T]):
    """Of a request: what belongs to its client, or to the arm that the request has. Thread-safe."""

    def __init__(self, clients: Mapping[str, Client], make: Callable[[Client], T], derive: Derive | None = None):
        """`derive` says how an arm changes a client; by default its settings are applied to that of `clients`."""
        self._make = make
        self._derive = derive or (lambda arm: arm.applied_to(clients[arm.client]))
        self._plain = {name: make(client) for name, client in clients.items()}
        self._of_arm: dict[str, T] = {}
        self._making = threading.Lock()

    def of(self, ask: WalkAsk) -> T:
        """That of a request. Raises ConfigError where its arm does not fit the client."""
        arm = ask.arm
        if arm is None:
            return self._plain[ask.client]
        made = self._of_arm.get(arm.key)
        return self.of_arm(arm) if made is None else made

    def of_arm(self, arm: ArmSettings) -> T:
        """That of an arm, made now if it is not there."""
        with self._making:
            if arm.key not in self._of_arm:
                others = list(self._of_arm.items())[1 - MOST :]
                self._of_arm = dict([*others, (arm.key, self._make(self._derive(arm)))])
            return self._of_arm[arm.key]

    def made(self) -> list[T]:
        """All that there is now, of clients and of arms."""
        return [*self._plain.values(), *self._of_arm.values()]

    def keep(self, keys: Collection[str]) -> None:
        """Forget what was made of other arms."""
        with self._making:
            self._of_arm = {key: made for key, made in self._of_arm.items() if key in keys}

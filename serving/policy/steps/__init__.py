"""One policy step a file. Every module here is imported with the package, and registers its step by that."""

import importlib
import pkgutil

from serving.policy.registry import REGISTRY, StepKind

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")


def registered() -> list[StepKind]:
    """All kinds of steps, in the order in which they run."""
    return sorted(REGISTRY.values(), key=lambda kind: (kind.phase, kind.name))

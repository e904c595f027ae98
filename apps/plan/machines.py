"""Machines to choose from, and what they cost."""

from pathlib import Path

from pydantic import Field

from cluster.settings.parsing import Settings, parse, read_yaml

SHIPPED = Path(__file__).with_name("machines.yaml")


class Machine(Settings):
    """One kind of machine."""

    name: str = Field(description="as the provider calls it")
    cores: int = Field(ge=1, description="that one machine has")
    gib: float = Field(gt=0, description="memory of one machine")
    dollars: float = Field(ge=0, description="price of an hour")


class MachineList(Settings):
    """A file of them."""

    machines: tuple[Machine, ...] = Field(min_length=1)


def read_machines(path: Path = SHIPPED) -> tuple[Machine, ...]:
    """Raises ConfigError with file, key and fix."""
    return parse(MachineList, read_yaml(path), str(path)).machines

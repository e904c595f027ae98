"""Ray's own commands for a cluster, as `pinfunnel up`, `down` and the like print and run them."""

import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster.settings.parsing import read_yaml

FOLDER = "~/pinfunnel"
"""Where the launchers' files put the checkout on each node."""


@dataclass(frozen=True)
class RayCommand:
    """Arguments behind `ray`, with environment variables; `str` is a line for the shell."""

    arguments: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    program: str = "ray"

    def __str__(self) -> str:
        named = [f"{name}={shlex.quote(value)}" for name, value in self.environment.items()]
        return " ".join([*named, self.program, *map(shlex.quote, self.arguments)])

    @property
    def argv(self) -> list[str]:
        """With the program of this process's own environment."""
        beside = Path(sys.executable).parent / self.program
        return [str(beside) if beside.exists() else self.program, *self.arguments]


def up(file: Path, has_token: bool) -> list[RayCommand]:
    """Starts or updates the cluster of a file."""
    # Ray's second autoscaler does not start machines that it was merely told of
    by_name = {"RAY_UP_enable_autoscaler_v2": "0"} if _is_local(file) else {}
    token = [] if has_token else [RayCommand(("get-auth-token", "--generate"))]
    return [*token, RayCommand(("up", "--yes", str(file)), by_name)]


def down(file: Path) -> list[RayCommand]:
    """Ends it. Of machines that were merely named, `ray down` stops the head alone, so the others are told by SSH."""
    config = read_yaml(file)
    commands = [RayCommand(("down", "--yes", str(file)))]
    if _is_local(file):
        auth = config.get("auth", {})
        key = ("-i", auth["ssh_private_key"]) if auth.get("ssh_private_key") else ()
        for worker in config["provider"].get("worker_ips", ()):
            there = f"{auth['ssh_user']}@{worker}" if auth.get("ssh_user") else str(worker)
            commands.append(RayCommand((*key, there, 'bash -lic "ray stop"'), program="ssh"))
    return commands


def on_head(file: Path, command: str) -> RayCommand:
    """A command of ours on the head of a cluster, in the checkout there."""
    return RayCommand(("exec", str(file), f"cd {FOLDER} && RAY_ADDRESS=auto {command}"))


def _is_local(file: Path) -> bool:
    provider: Any = read_yaml(file).get("provider") or {}
    return isinstance(provider, dict) and provider.get("type") == "local"

"""A real Prometheus of one test: it reads the files that ship, and answers queries."""

import json
import socket
import subprocess
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.worlds import calls

LAUNCH = Path(__file__).parents[2] / "cluster" / "launch"


class Prometheus:
    """Scrapes every few seconds what a file of Ray's names, and evaluates the alert rules that ship."""

    def __init__(self, program: str, folder: Path, targets: Path):
        config = yaml.safe_load((LAUNCH / "prometheus.yaml").read_text())
        # a busy machine answers a scrape late
        config["global"] = {
            "scrape_interval": "4s",
            "evaluation_interval": "4s",
        }
        config["rule_files"] = [str(LAUNCH / name) for name in config["rule_files"]]
        [ray] = config["scrape_configs"]
        ray["file_sd_configs"] = [{"files": [str(targets)], "refresh_interval": "1s"}]
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        self.url = f"http://{address}"
        flags = [f"--config.file={folder}/prometheus.yaml", f"--storage.tsdb.path={folder}/series"]
        with (folder / "prometheus.log").open("w") as log:
            self.process = subprocess.Popen(
                [program, *flags, f"--web.listen-address={address}"], stdout=log, stderr=subprocess.STDOUT
            )

    def ask(self, query: str) -> dict[str, float]:
        """The values that are numbers, by labels. Empty while it starts. Raises ValueError for a bad query."""
        try:
            told: dict[str, Any] = calls.get(f"{self.url}/api/v1/query", params={"query": query}, timeout=30).json()
        except (httpx.TransportError, json.JSONDecodeError):
            return {}
        if told["status"] != "success":
            raise ValueError(f"{query}: {told['error']}")
        found = {json.dumps(row["metric"], sort_keys=True): float(row["value"][1]) for row in told["data"]["result"]}
        return {labels: value for labels, value in found.items() if value == value}  # NaN is no data

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

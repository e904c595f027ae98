"""Every panel of the dashboards shows something, and every alert rule asks for what is there: by a real Prometheus."""

import json
import re
import shutil
from collections.abc import Iterator

import pytest
import yaml

from tests.worlds.outside import Seen, soon
from tests.worlds.prometheus import LAUNCH, Prometheus

PATIENCE = 240.0
"""Seconds until a node and its proxy have told of themselves, on a machine that has much else to do."""
RARE = {"ray_pinfunnel_feature_psi"}  # a trained model, and 100 requests


@pytest.fixture(scope="module")
def prometheus(seen: Seen, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not here: apt-get install prometheus")
    targets = seen.ray / "ray" / "prom_metrics_service_discovery.json"
    told = seen.tell({"user_id": seen.user, "pin_id": seen.ask().json()["pins"][0]["pin_id"], "action": "save"})
    assert told.json()["accepted"] == 1, told.text
    made = Prometheus(program, tmp_path_factory.mktemp("prometheus"), targets)
    yield made
    made.stop()


def panels() -> dict[str, str]:
    """Every query, by dashboard, panel and letter."""
    return {
        f"{file.stem}: {panel['title']}: {target['refId']}": target["expr"].replace("$__rate_interval", "30s")
        for file in sorted((LAUNCH / "grafana").glob("*.json"))
        for panel in json.loads(file.read_text())["panels"]
        for target in panel["targets"]
    }


def test_every_panel_has_data_under_traffic(seen: Seen, prometheus: Prometheus) -> None:
    empty = panels()

    def look() -> list[str]:
        """Those without data so far: a busy machine tells of itself now and then."""
        assert seen.ask().status_code == 200
        for name, query in list(empty.items()):
            if prometheus.ask(query):
                del empty[name]
        return list(empty)

    assert soon(look, lambda names: not names, PATIENCE) == []


def test_every_alert_asks_for_series_that_are_there_and_none_fires(seen: Seen, prometheus: Prometheus) -> None:
    groups = yaml.safe_load((LAUNCH / "alerts.yaml").read_text())["groups"]
    asked = {
        re.sub(r', status_code=~"5\.\."', "", selector)  # there are none: that is well
        for group in groups
        for rule in group["rules"]
        for selector in re.findall(r"ray_\w+(?:\{[^}]*\})?", rule["expr"])
    }
    assert len(asked) > 15

    def missing() -> list[str]:
        seen.ask()
        return [
            each for each in sorted(asked) if each not in RARE and not prometheus.ask(f"last_over_time({each}[10m])")
        ]

    assert soon(missing, lambda names: not names, PATIENCE) == []
    assert prometheus.ask('ALERTS{alertstate="firing"}') == {}

"""Every metric is declared, told of in docs/telemetry.md as it is declared, and really set."""

import ast
import re

from serving.deploy import declared
from serving.deploy.declared import ALL, Declared
from tests.architecture.repository import ROOT, modules

PAGE = ROOT / "docs" / "telemetry.md"


def row(metric: Declared) -> str:
    """As the page's table has it."""
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {metric.kind} | {labels} | {metric.meaning} |"


def test_the_page_tells_of_every_metric_and_of_no_other() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `pinfunnel_")]
    assert rows == [row(metric) for metric in ALL], "copy the rows of serving/deploy/declared.py into the table"


def test_names_are_prometheus_own_way() -> None:
    assert len({metric.name for metric in ALL}) == len(ALL) > 10
    for metric in ALL:
        assert re.fullmatch(r"pinfunnel_[a-z_]+", metric.name)
        assert metric.name.endswith("_total") == (metric.kind == "counter")


def test_every_declared_metric_is_used_and_no_other_is_made() -> None:
    used = (ROOT / "serving" / "deploy" / "metrics.py").read_text()
    names = [name for name, value in vars(declared).items() if isinstance(value, Declared)]
    assert [name for name in names if not re.search(rf"\(declared\.{name}\b", used)] == []
    makers = []
    for path in modules("serving"):
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            if (
                isinstance(node, ast.ImportFrom | ast.Import)
                and "metrics" in ast.unparse(node)
                and "ray" in ast.unparse(node)
            ):
                makers.append(str(path))
    assert makers == ["serving/deploy/instruments.py"]

"""The size of an installation: what it counts, and that the plain one stays within its bar."""

from pathlib import Path

import pytest

from apps.bench.packaging import closure, megabytes, run
from cluster.errors import ConfigError

BAR_MB = 1600
"""Of a plain installation on a machine without GPU."""


def package(site: Path, name: str, size: int, *requires: str) -> None:
    folder = site / f"{name.replace('-', '_')}-1.0.dist-info"
    folder.mkdir(parents=True)
    lines = "".join(f"Requires-Dist: {line}\n" for line in requires)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{lines}")
    (site / f"{name}.bin").write_bytes(b"x" * size)
    (folder / "RECORD").write_text(f"{name}.bin,,\nnot-there.bin,,\n")


def test_an_extra_brings_what_its_markers_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["Big_Thing[fast]>=1", "nothing; sys_platform == 'plan9'", "network; extra == 'full'"]
    monkeypatch.setattr("apps.bench.packaging._own_requirements", lambda: lines)
    package(tmp_path, "pinfunnel", 0)
    package(tmp_path, "big.thing", 2_000_000, "small; extra == 'fast'", "other; extra == 'slow'")
    package(tmp_path, "small", 4096, "big-thing")
    package(tmp_path, "network", 4096)
    assert closure(tmp_path) == {"pinfunnel", "big-thing", "small"}
    assert closure(tmp_path, ("full",)) - closure(tmp_path) == {"network"}
    sizes = megabytes(tmp_path, closure(tmp_path))
    assert list(sizes) == ["big-thing", "small", "pinfunnel"]
    assert sizes["big-thing"] == pytest.approx(2.0, abs=0.02)
    assert sizes["small"] < 0.02


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.bench.packaging._own_requirements", lambda: ["gone"])
    package(tmp_path, "pinfunnel", 0)
    with pytest.raises(ConfigError, match="gone is not installed"):
        closure(tmp_path)


def test_the_plain_installation_is_within_its_bar_and_has_no_torch() -> None:
    report = run(quick=True)
    assert 500 < report["mb"]["plain"] <= BAR_MB
    assert "torch" not in report["packages"]["plain"]
    assert report["packages"]["full"]["torch"] > 100
    assert report["mb"]["full"] == pytest.approx(report["mb"]["plain"] + report["added"]["full"], abs=0.11)
    assert not set(report["packages"]["plain"]) & set(report["packages"]["full"])

"""What is made once a graph version, and for how many versions it is kept."""

from types import SimpleNamespace
from typing import Any

from serving.request.per_graph import PerGraph


def test_each_version_is_made_once_and_the_last_ones_are_kept() -> None:
    made: list[str] = []

    def make(catalog: Any) -> str:
        made.append(catalog.version)
        return f"{catalog.version}{len(made)}"

    a, b, c = (SimpleNamespace(version=name) for name in "abc")
    kept = PerGraph[str](make, keep=2)
    assert [kept.of(one) for one in (a, b, a, b)] == ["a1", "b2", "a1", "b2"]  # type: ignore[arg-type]
    assert [kept.of(one) for one in (c, b, c)] == ["c3", "b2", "c3"]  # type: ignore[arg-type]
    assert kept.of(a) == "a4", "it had to go for c"  # type: ignore[arg-type]
    assert kept.renew(a) == "a5"  # type: ignore[arg-type]
    assert kept.of(a) == "a5"  # type: ignore[arg-type]
    assert kept.of(c) == "c3"  # type: ignore[arg-type]
    assert made == ["a", "b", "c", "a", "a"]

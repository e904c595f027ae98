"""What an extra brings is asked for by name, and a missing package is told in one line."""

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from cluster.errors import MissingPackageError, PinfunnelError
from cluster.extras import require, require_torch, torch_there


def test_what_is_there_is_imported() -> None:
    require("json", "full", "anything")


def test_a_missing_package_is_told_with_its_extra() -> None:
    with pytest.raises(MissingPackageError) as caught:
        require("no_such_package", "kafka", "a broker")
    told = str(caught.value)
    assert told == "a broker needs no_such_package, which is not installed: pip install 'pinfunnel[kafka]'"
    assert isinstance(caught.value, PinfunnelError)


def test_a_package_that_lacks_another_one_is_not_called_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_package.py").write_text("import no_such_package\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        require("broken_package", "full", "anything")


def test_torch_is_looked_for_and_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: ModuleSpec(name, None))
    assert torch_there()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert not torch_there()


def test_a_blocked_torch_counts_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert not torch_there()
    with pytest.raises(MissingPackageError, match=r"pinfunnel\[full\]"):
        require_torch()

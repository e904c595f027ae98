"""Numbered steps: what a log shows of them."""

import io

import pytest
from rich.console import Console

from apps.demo.progress import Steps


def test_each_step_leaves_one_line_with_its_note() -> None:
    out = io.StringIO()
    steps = Steps(Console(file=out, width=100), total=2)
    with steps.step("Build") as step:
        step.tick("read", 0.5)
        step.tick("read", 1.5)
        step.note("7 pins")
    with steps.step("Serve"):
        pass
    first, second = out.getvalue().splitlines()
    assert first.startswith("✓ 1/2 Build")
    assert first.endswith("7 pins")
    assert second.startswith("✓ 2/2 Serve")
    assert list(steps.seconds) == ["Build", "Serve"]


def test_a_failed_step_says_so_and_lets_the_error_through() -> None:
    out = io.StringIO()
    steps = Steps(Console(file=out, width=100), total=1)
    with pytest.raises(RuntimeError, match="no disk"), steps.step("Build"):
        raise RuntimeError("no disk")
    assert out.getvalue().startswith("✗ 1/1 Build")
    assert not steps.seconds

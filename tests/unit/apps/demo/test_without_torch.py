"""The demo without torch goes on with the lightweight rankers, and says what would train the full one."""

from typing import Any, cast

import pytest

from apps.demo import demo
from apps.demo.progress import RunningStep
from cluster.errors import MissingPackageError


def test_the_full_ranker_is_left_out_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(*_: Any, **__: Any) -> None:
        raise MissingPackageError("training the full ranker needs torch: pip install 'pinfunnel[full]'")

    class NoStores:
        store = logs = None

    monkeypatch.setattr(demo, "train_full_ranker", lacking)
    step = RunningStep(lambda *_: None)
    reason = demo._train_full(cast(Any, None), {}, cast(Any, NoStores()), "http://nowhere", step)
    assert reason == "left out: training the full ranker needs torch: pip install 'pinfunnel[full]'"

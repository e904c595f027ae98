"""What a run of the full ranker asks Ray Train for."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import ray
import ray.train.torch

from cluster.errors import ModelError
from training.ranker import trainer
from training.ranker.job import Job


@pytest.mark.parametrize("reserve", [{}, {"GPU": 0.25, "heavy": 1.0}])
def test_workers_ask_for_a_share_of_the_cpus_and_what_the_plan_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reserve: dict[str, float]
) -> None:
    asked: list[ray.train.ScalingConfig] = []

    class Recorder:
        def __init__(self, *_: Any, scaling_config: ray.train.ScalingConfig, **__: Any):
            asked.append(scaling_config)

        def fit(self) -> None:
            raise RuntimeError("asked enough")

    monkeypatch.setattr(ray.train.torch, "TorchTrainer", Recorder)
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 2.0})
    monkeypatch.setattr(ray, "put", lambda job: job)
    plan = trainer.RunPlan(num_workers=2, reserve=reserve)
    with pytest.raises(ModelError, match="asked enough"):
        trainer._on_ray(cast(Job, SimpleNamespace(paths=())), None, str(tmp_path), plan)
    (scaling,) = asked
    assert (scaling.num_workers, scaling.use_gpu) == (2, "GPU" in reserve)
    assert scaling.resources_per_worker == {"CPU": 0.5, **reserve}

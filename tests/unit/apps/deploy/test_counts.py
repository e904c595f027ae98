"""Other numbers of replicas restart nobody: they travel beside the arguments."""

from pathlib import Path

from apps.deploy.config import inlined
from apps.deploy.counts import count_aside, stage_counts
from apps.serve import FunnelArgs
from tests.worlds.toy import toy_project

PRINTED = Path(__file__).parents[4] / "apps" / "serve.yaml"


def test_other_numbers_of_replicas_of_a_stage_leave_the_arguments_alone(tmp_path: Path) -> None:
    project = toy_project(tmp_path)
    sent = []
    for walkers in (2, 3):
        config, opened = inlined(PRINTED, project)
        (app,) = config["applications"]
        app["args"]["walker_replicas"] = walkers
        app["deployments"] = [{"name": "full", "num_replicas": 4}, {"name": "events", "max_ongoing_requests": 7}]
        args = FunnelArgs.model_validate(app["args"])
        count_aside(config, PRINTED, stage_counts(args, opened))
        sent.append(config)
    first, second = (config["applications"][0] for config in sent)
    assert first["args"] == second["args"]
    assert "ingress_replicas" in first["args"]
    beside = [{one["name"]: one for one in app["deployments"]} for app in (first, second)]
    assert [found["walk"]["num_replicas"] for found in beside] == [2, 3]
    assert [found["full"]["num_replicas"] for found in beside] == [4, 4]
    assert beside[0]["events"] == {"name": "events", "max_ongoing_requests": 7}

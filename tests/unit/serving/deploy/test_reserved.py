"""Whether a cluster has room for an application's replicas."""

from hypothesis import given
from hypothesis import strategies as st

from serving.deploy.reserved import Replicas, without_room


def test_room_is_by_node_not_by_sum() -> None:
    walk = [Replicas("walk", 2, 1.5)]
    assert without_room(walk, [{"CPU": 3.0}]) == ""
    told = without_room(walk, [{"CPU": 2.0}, {"CPU": 1.0}])
    assert told.startswith("no room for 1 of `walk`: all replicas reserve 3 CPUs, the nodes have 3 CPUs (2 nodes)")


def test_a_gpu_is_needed_where_it_is_asked_for() -> None:
    full = [Replicas("full", 1, 1.0, 1.0), Replicas("walk", 1, 1.0)]
    assert without_room(full, [{"CPU": 2.0, "GPU": 1.0}]) == ""
    assert "1 of `full`: all replicas reserve 2 CPUs and 1 GPUs, the nodes have 4 CPUs and 0 GPUs" in without_room(
        full, [{"CPU": 4.0}]
    )


@given(st.lists(st.integers(0, 6), min_size=1, max_size=4), st.lists(st.integers(1, 5), max_size=4))
def test_replicas_of_one_cpu_find_room_exactly_if_there_are_as_many_cpus(nodes: list[int], counts: list[int]) -> None:
    wanted = [Replicas(f"d{at}", count, 1.0) for at, count in enumerate(counts)]
    told = without_room(wanted, [{"CPU": float(cpus)} for cpus in nodes])
    assert (told == "") == (sum(counts) <= sum(nodes))


def test_options_are_what_serve_takes() -> None:
    assert Replicas("full", 2, 0.5, 1.0).options() == {
        "name": "full",
        "num_replicas": 2,
        "ray_actor_options": {"num_cpus": 0.5, "num_gpus": 1.0},
    }

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


@given(st.lists(st.booleans(), min_size=1, max_size=4), st.integers(1, 9))
def test_a_custom_resource_binds_to_the_nodes_that_have_it(heavy: list[bool], count: int) -> None:
    nodes = [{"CPU": 8.0} | ({"memory_heavy": 1.0} if has else {}) for has in heavy]
    told = without_room([Replicas("walk", count, 1.0, custom={"memory_heavy": 0.25})], nodes)
    assert (told == "") == (count <= 4 * sum(heavy))


def test_those_that_ask_for_a_custom_resource_choose_before_those_that_do_not() -> None:
    nodes = [{"CPU": 1.0, "memory_heavy": 1.0}, {"CPU": 2.0}]
    walk = Replicas("walk", 1, 1.0, custom={"memory_heavy": 0.01})
    assert without_room([Replicas("full", 2, 1.0), walk], nodes) == ""


def test_a_name_that_no_node_has_is_told_with_those_that_they_have() -> None:
    walk = Replicas("walk", 1, 0.5, custom={"memory_hevy": 0.01})
    nodes = [{"CPU": 4.0, "memory": 9e9, "node:10.0.0.1": 1.0, "memory_heavy": 1.0}]
    assert without_room([walk, Replicas("full", 1, 0.5)], nodes).startswith(
        "no room for 1 of `walk` (no node has `memory_hevy`, nodes have `memory_heavy`: see `resources` of walk): "
        "all replicas reserve 1 CPUs and 0.01 `memory_hevy`, the nodes have 4 CPUs and 0 `memory_hevy` (1 nodes)"
    )


def test_four_replicas_share_a_gpu() -> None:
    nodes = [{"CPU": 8.0, "GPU": 1.0}]
    assert without_room([Replicas("full", 4, 1.0, 0.25)], nodes) == ""
    assert "1 of `full`" in without_room([Replicas("full", 5, 1.0, 0.25)], nodes)


def test_options_are_what_serve_takes() -> None:
    assert Replicas("walk", 1, 0.5, custom={"memory_heavy": 0.01}).options()["ray_actor_options"] == {
        "num_cpus": 0.5,
        "resources": {"memory_heavy": 0.01},
    }
    assert Replicas("full", 2, 0.5, 1.0).options() == {
        "name": "full",
        "num_replicas": 2,
        "ray_actor_options": {"num_cpus": 0.5, "num_gpus": 1.0},
    }

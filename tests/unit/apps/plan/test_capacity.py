"""Machines for a funnel: against the sums by hand, and never fewer when more is asked."""

from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from apps.plan.capacity import GIB, KEPT_FREE, LINKED, Demand, plan, size
from apps.plan.curves import Curves
from apps.plan.machines import Machine, read_machines

CURVES = Curves(
    walk=(1.0, 10.0, 0.0),
    rank=(2.0, 0.001, 0.004),
    server_ms=3.0,
    log_bytes=80.0,
    edge_bytes=8.0,
    link_bytes=16.0,
    node_bytes=100.0,
    replica_bytes=1e8,
    base_bytes=1e9,
    build_seconds=1e-6,
    build_bytes=40.0,
    smallest=1,
    largest=10_000_000,
    where="here",
)
SMALL = Machine(name="small", cores=4, gib=16, dollars=1.0)
LARGE = Machine(name="large", cores=8, gib=64, dollars=3.0)
DEMAND = Demand(pins=1_000_000, boards=250_000, edges=10_000_000, qps=200.0)


def test_the_sums_are_those_by_hand() -> None:
    need = plan(DEMAND, CURVES, [LARGE, SMALL])
    assert sum(need.ms.values()) == (1 + 100_000 * 10e-6) + 2 + 2 + 2 + 3  # walk, fixed, candidates, survivors, server
    assert need.cores == 200 * 11 / 1000 / 0.5
    assert (need.machine, need.machines) == (SMALL, 3), "5 cores of 4 are two machines, and one may be lost"
    assert need.graph_bytes == 10_000_000 * 24 + 1_250_000 * 100
    assert need.machine_bytes == 2 * need.graph_bytes + 1e9 + 4e8
    assert need.dollars_month == 3 * 730
    assert need.log_bytes_day == 200 * 86_400 * 2000 * 80
    assert need.breaks == ()


def test_what_fits_on_no_small_machine_is_put_on_a_large_one_and_what_fits_on_none_is_said() -> None:
    wide = replace(DEMAND, edges=1_500_000_000)
    assert plan(wide, CURVES, [LARGE, SMALL]).machine == LARGE
    tight = plan(replace(DEMAND, edges=5_000_000_000), CURVES, [LARGE, SMALL])
    assert (tight.machine, tight.machine_bytes) == (LARGE, tight.graph_bytes + 1e9 + 8e8)
    assert tight.breaks[0].startswith("two graphs (80 GB), as there are while one replaces another")
    wider = plan(replace(DEMAND, edges=17_000_000_000), CURVES, [LARGE, SMALL])
    assert (wider.machine, wider.as_json()["dollars_month"]) == (None, None)
    assert [line.split()[0:3] for line in wider.breaks] == [["the", "graph", "(136"], ["no", "graph", "of"]]
    too_many = plan(replace(DEMAND, pins=3_000_000_000), CURVES, [LARGE])
    assert too_many.breaks[0].startswith("3,000,000,000 pins are more than one graph can have (2,147,483,647)")


@given(
    st.integers(1, 10**9),
    st.integers(1, 10**10),
    st.floats(0.01, 1e5),
    st.sampled_from(["pins", "edges", "qps", "candidates", "survivors", "steps", "spare"]),
)
def test_more_of_anything_never_needs_fewer_dollars(pins: int, edges: int, qps: float, more: str) -> None:
    asked = Demand(pins, pins, edges, qps)
    larger = replace(asked, **{more: getattr(asked, more) * 2})
    assume(not asked.edges <= LINKED < larger.edges)  # there the links are left out, which are two thirds of the bytes
    first, second = (plan(one, CURVES, read_machines()) for one in (asked, larger))
    if first.machine and second.machine:
        assert second.dollars_month >= first.dollars_month
        assert second.machine_bytes <= second.machine.gib * GIB * (1 - KEPT_FREE)
    assert first.machine or not second.machine
    assert first.machine or first.breaks, "a graph for which there is no machine is said"


def test_bytes_are_said_in_units_of_a_thousand() -> None:
    assert [size(n) for n in (5, 1500, 150_000, 144e9, 3e15)] == ["5.0 B", "1.5 kB", "150 kB", "144 GB", "3,000 TB"]

"""The bench of the event log: every event of every sender is stored, and each figure is there."""

from apps.bench.serving import events


def test_a_quick_run_stores_what_it_sends_and_reports_every_figure() -> None:
    figures = events.run(quick=True)
    for name in ("events_per_second", "events_per_cpu_second", "batches_per_sync"):
        assert {what: set(by) for what, by in figures[name].items()} == {"log": {"1", "8"}, "with_json": {"1", "8"}}
        assert all(rate > 0 for by in figures[name].values() for rate in by.values())
    assert figures["batches_per_sync"]["log"]["1"] == 1.0, "one sender never waits with another"
    assert figures["disk_syncs_per_second"] > 0

"""What every replica shares: a process's parts, and one explicit `close` for whatever it has started. No decision."""

import atexit
from collections.abc import Callable, Collection
from contextlib import ExitStack

from cluster.extras import torch_there
from cluster.settings.clients import Client
from cluster.settings.project import Project
from serving.deploy.inner_port import stay_on_loopback
from serving.deploy.metrics import BundleMetrics, FeatureMetrics
from serving.deploy.process import Process
from serving.deploy.pulse import Pulse
from serving.deploy.replica_log import flush_serve_log, join_serve_log
from serving.deploy.tracing import begin_no_traces, flush_traces, tracing_on
from serving.request.served import ServedBundles


def one_thread_a_request() -> None:
    """Have torch score in the thread that calls it: requests share the cores, and torch's own threads spin for them.

    Does nothing where torch is not installed: no network is scored there.
    """
    if not torch_there():
        return
    import torch

    torch.set_num_threads(1)


class Replica:
    """Parts of one process, and what has to be closed behind them.

    Serve tells a replica that it stops by calling its `__del__`, once, and in no other way (Ray 2.60,
    ray/serve/_private/replica.py: call_destructor). That call and the end of a process that stops otherwise lead to
    `close`; whoever closes first does the work.
    """

    begins_traces = False  # an ingress does

    def __init__(
        self,
        project: Project,
        clients: dict[str, Client],
        parts: Collection[int] | None = None,
        narrow: Callable[[Client], Client] | None = None,
    ):
        """`parts` of the graph whose edges are walked here; None: all. `narrow`: what is had of a client; None: all."""
        stay_on_loopback()
        join_serve_log()
        self._process = Process(project, clients, parts, narrow)
        self._closing = ExitStack()
        atexit.register(self.close)
        if tracing_on():
            if not self.begins_traces:
                begin_no_traces()
            self._closing.callback(flush_traces)
        self._pulse = Pulse()
        self._pulse.add(flush_serve_log)
        self._closing.callback(self._pulse.close)

    def watch(self, *stages: str, elsewhere: Collection[str] = ()) -> None:
        """Load what is published now, and swap in what is published later. `elsewhere`: sources of other processes."""
        self._watcher = self._process.watcher(*stages, elsewhere=elsewhere)
        self._watcher.told = BundleMetrics().looked
        self._closing.callback(self._watcher.stop)
        self._watcher.start()

    def tell_features(self) -> None:
        """Have metrics say how the features that are computed here compare with training."""
        self._pulse.add(FeatureMetrics(self._process.lightweight.watch.states).look)

    def bundles(self) -> ServedBundles:
        """What this replica serves with, and what it had to set aside."""
        return self._watcher.bundles()

    def close(self) -> None:
        """End threads and write what is queued; a second call does nothing."""
        self._closing.close()
        atexit.unregister(self.close)

    def __del__(self) -> None:
        if hasattr(self, "_closing"):  # Serve also calls it when the constructor has failed
            self.close()

"""Backfill: replayed history written as if it had been served, so that the first models need no live traffic.

Each replayed moment becomes a row of the serving log; what the user did next becomes its events. The work is cut into
pieces, the same ones whatever the number of workers; a replay that was killed goes on with those that are not done.
"""

from collections.abc import Iterator, Sequence

from apps.backfill.jobs import job_of, pieces_of
from apps.backfill.ledger import Ledger
from apps.backfill.moment import ReplayPlan
from apps.backfill.piece import Backfilled, PieceWriter, ReplayJob, ReplayPiece
from apps.backfill.replay import Replay
from cluster.errors import BundleError, DataError
from cluster.kinds import GRAPH
from cluster.progress import Counted, uncounted
from cluster.store.replays import count_replayed, drop_replayed


def make_way_for_all(replay: Replay, clients: Sequence[str], plan: ReplayPlan, replace: bool) -> dict[str, int]:
    """`make_way` for several clients; returns the requests that were removed, of those that had any.

    Clients that are done, when others are not, stay as they are: a run for all of them was ended between.
    """
    done = {client for client in clients if _is_done(replay, client, plan)}
    todo = [client for client in clients if client not in done] or clients
    removed = {client: make_way(replay, client, plan, replace) for client in todo}
    return {client: requests for client, requests in removed.items() if requests}


def make_way(replay: Replay, client: str, plan: ReplayPlan, replace: bool) -> int:
    """Takes an earlier replay of the plan's span out of the logs, returns its requests; without `replace`, DataError.

    Both would have the same request ids, and of those the older row counts. This very replay, ended early, stays: it
    goes on.
    """
    logs = replay.process.logs
    ledger = Ledger.of(job_of(replay, client, plan), logs.root)
    if ledger.begun and len(ledger.finished()) < len(pieces_of(replay, client, plan)):
        return 0
    span = plan.since, plan.until
    if not replace and (found := count_replayed(logs, client, span)):
        raise DataError(
            f"client {client}: {found:,} backfilled requests are in the logs already: run backfill with --replace to "
            "replace them by a new replay"
        )
    Ledger.forget(logs.root, client)  # before the rows go: notes of rows that are gone would be believed
    return drop_replayed(logs, client, span) if replace else 0


def backfill(
    replay: Replay, client: str, plan: ReplayPlan, progress: Counted = uncounted, workers: int = 1
) -> Backfilled:
    """Replay history for one client into the project's logs; `make_way` first when that was done before.

    One worker is this process; more are Ray's, which must be up. The rows are the same. The figures are those of all
    pieces, earlier ones too.
    """
    job = job_of(replay, client, plan)
    ledger = Ledger.of(job, replay.process.logs.root)
    pieces = pieces_of(replay, client, plan)
    ledger.begin()
    finished = ledger.finished()
    total = sum(len(piece.rows) for piece in pieces)
    seen = sum(len(piece.rows) for piece in pieces if piece.number in finished)
    done = sum((Backfilled(**figures) for figures in finished.values()), Backfilled())
    progress(seen, total)
    waiting = (piece for piece in pieces if piece.number not in finished)
    work = ((piece, _graph_of(replay, ledger, piece.begin)) for piece in waiting)
    for piece, figures in _run(replay, job, work, workers):
        seen += len(piece.rows)
        done += figures
        progress(seen, total)
    return done


def _is_done(replay: Replay, client: str, plan: ReplayPlan) -> bool:
    """Whether this very replay was noted to its end, and its rows are still there."""
    logs = replay.process.logs
    noted = Ledger.of(job_of(replay, client, plan), logs.root).finished()
    return (
        len(noted) == len(pieces_of(replay, client, plan))
        and count_replayed(logs, client, (plan.since, plan.until)) > 0
    )


def _run(
    replay: Replay, job: ReplayJob, work: Iterator[tuple[ReplayPiece, str]], workers: int
) -> Iterator[tuple[ReplayPiece, Backfilled]]:
    if workers > 1:
        from apps.backfill.workers import replay_on_ray

        yield from replay_on_ray(job, replay.past, work, workers)
        return
    write = PieceWriter(job)
    for piece, graph in work:
        yield piece, write(replay.past, piece, graph)


def _graph_of(replay: Replay, ledger: Ledger, begin: int) -> str:
    """The stored graph of the slice that begins at `begin`; built now, unless a run that was killed had built it."""
    version = ledger.graph(begin)
    if version is not None:
        try:
            return replay.process.store.open(GRAPH, version, verify=False).version
        except BundleError:  # removed since
            pass
    version = replay.build(begin)
    ledger.note_graph(begin, version)
    return version

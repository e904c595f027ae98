"""The bench of similar pins runs, and its two ways to sum agree."""

import numpy as np

from apps.bench.graph import similarity


def test_it_runs_and_its_sums_are_those_of_scipy() -> None:
    figures = similarity.run(quick=True)
    assert all(figures[f"history_{length}"]["ms"] > 0 for length in similarity.LENGTHS)
    rng = np.random.default_rng(1)
    tables = similarity.Similarity(*(similarity._table(rng, 500) for _ in range(4)))
    request = similarity._request(rng, 500, 40, tables)
    assert tables.cosine is not None
    rows = similarity._sparse(tables.cosine)[request.history.pins[request.history.liked]]
    once = np.unique(request.history.pins[request.history.liked], return_index=True)[1]
    np.testing.assert_allclose(request.cosine.history, rows[once].sum(axis=0)[request.found.pins], rtol=1e-4)

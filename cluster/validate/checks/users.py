"""The check of the users input: ids, repeats and numbers."""

import pyarrow as pa

from cluster.data.cleaning import Tally, clean_users
from cluster.data.reading import Input
from cluster.graph.ids import IdMap
from cluster.validate.examination import Examination


def check_users(source: Input, run: Examination) -> IdMap:
    """Fills in the report; returns the ids of the users that could be read."""

    def rules(table: pa.Table, tally: Tally) -> pa.Table:
        return clean_users(table, run.now, tally)

    return IdMap.from_ids(run.apply(source, rules)["user_id"])

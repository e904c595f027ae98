"""Would it get through and be acted on? Only actions are success, and what did not get through is in the picture.

Unimpressed candidates stand for all of a request's, often 20 times the shown ones: a weight of 0.1 keeps both in sight.
"""

from cluster.settings.clients import StrategyTable
from training.lightweight.strategies.strategy import Strategy
from training.lightweight.strategies.table import label_by_table

STRATEGY = Strategy(
    name="funnel_blended",
    meaning="actions against impressions without one and against what was not shown",
    table=StrategyTable(
        impressed_no_action_label=0.0,
        impressed_no_action_weight=1.0,
        unimpressed_label=0.0,
        unimpressed_weight=0.1,
    ),
    label=label_by_table,
)

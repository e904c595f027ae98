"""Would the full ranker let it through? Passing is success, whatever the user did.

Unimpressed candidates stand for all of a request's, often 20 times the shown ones: a weight of 0.1 keeps both in sight.
"""

from cluster.settings.clients import StrategyTable
from training.lightweight.strategies.strategy import Strategy
from training.lightweight.strategies.table import label_by_table

STRATEGY = Strategy(
    name="funnel_pure",
    meaning="what was shown against what was not",
    table=StrategyTable(
        impressed_no_action_label=1.0,
        impressed_no_action_weight=0.5,
        unimpressed_label=0.0,
        unimpressed_weight=0.1,
    ),
    label=label_by_table,
)

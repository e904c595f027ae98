"""Would the user act on it, once shown? Never sees what the funnel left out."""

from cluster.settings.clients import StrategyTable
from training.lightweight.strategies.strategy import Strategy
from training.lightweight.strategies.table import label_by_table

STRATEGY = Strategy(
    name="engagement",
    meaning="actions against impressions without one; what was not shown is not used",
    table=StrategyTable(impressed_no_action_label=0.0, unimpressed_label=None),
    label=label_by_table,
)

"""`labels` of a client's file: how logged requests become labels and weights of the lightweight ranker."""

from pydantic import Field

from cluster.settings.parsing import Settings


class StrategyTable(Settings):
    """Example classes to labels and weights: a label of null leaves the class out."""

    action_weight: dict[str, float] = Field(
        {}, description="weight of a pin with an action; what is not named: `labels.action_weights`"
    )
    impressed_no_action_label: float | None = Field(0.0, description="label of a pin that was shown and not acted on")
    impressed_no_action_weight: float = Field(1.0, ge=0, description="and its weight")
    unimpressed_label: float | None = Field(None, description="label of a candidate that was not shown")
    unimpressed_weight: float = Field(1.0, ge=0, description="and its weight")
    unimpressed_per_request: int = Field(
        30, ge=0, description="how many of a request's candidates that were not shown are drawn"
    )
    distillation: bool = Field(False, description="learn the full ranker's utility instead of labels")


class LabelSettings(Settings):
    """`strategy` names a file of training/lightweight/strategies/ (checked there), or `table` writes one out."""

    strategy: str = Field("funnel_blended", description="a strategy by name, or a name for your own `table`")
    table: StrategyTable | None = Field(None, description="a strategy of your own, written out")
    action_weights: dict[str, float] = Field(
        {"save": 1.0, "click": 1.0, "closeup": 0.5, "long_click": 1.0},
        description="weight of an example by the action that it got",
    )
    local_label_weight: float = Field(
        0.0, ge=0, description="extra positive weight where pin and user share a locale; 0: none"
    )
    request_balance: float = Field(
        0.5,
        ge=0,
        le=1,
        description="a request's examples weigh 1 / (number of its actions)^this: at 1 the actions of "
        "a request with fifty count together as much as a single one, at 0 fifty times as much",
    )

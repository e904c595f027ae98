"""Experiments that should find nothing, and such that should: how often they do.

False alarms and power of the product's own reports, over users of the synthetic world and through a served funnel.

Users come as often and save as much as those of the world (apps/world): few do much. 200 experiments without an effect
are assigned by the product's hash and reported every day: a fixed horizon is read at its end, an always-valid one
whenever it speaks, the sample ratio daily. Then experiments with 5 % more saves and as many users as the power
calculation asks for. At last one experiment is served, logged, and reported from its logs by the command's own code;
beside it stands the same lift as the simulation counted it, user by user.

    python -m apps.bench.learning.experiments [--quick]
"""

import argparse
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from apps.bench.learning.arms import Size
from apps.bench.learning.served_experiment import served_experiment
from apps.bench.machine import machine
from apps.world.actions import ActionModel, Showing
from apps.world.latent import draw_latent
from cluster.experiments.assignment import arms_of
from cluster.experiments.definition import Experiment
from training.experiments.columns import DEGRADED, MILLISECONDS, UnitColumns
from training.experiments.confidence import Confidence, HorizonKind
from training.experiments.power import chance_of, units_needed, variation
from training.experiments.report import TrialReport, report_of
from training.experiments.trial import TrialSettings
from training.experiments.unit_moments import UnitMoments
from training.experiments.verdict import deciding

RUNS = 200
DAYS = 14
EFFECT = 0.05
POWER = 0.8
VISITS_A_DAY = 0.5
ANSWER = 25
COLUMNS = UnitColumns(("save", "hide"))
NAMES = ("control", "treatment")
ARMS = dict.fromkeys(NAMES, 1.0)
KINDS: tuple[HorizonKind, ...] = ("fixed", "sequential")
SERVED = Size(2_000, 500, 600, cold=0, warm=0, measured=2_500)
SERVED_QUICK = Size(1_500, 400, 200, cold=0, warm=0, measured=200)


def run(quick: bool = False) -> dict[str, Any]:
    """Shares of experiments with a false alarm, with the effect found beside the stated power, and one served."""
    runs = 10 if quick else RUNS
    rng = np.random.default_rng(2026)
    crowd = Regulars.drawn(rng, 500 if quick else 6_000)
    found: dict[str, Any] = {"runs": runs, "false_alarms": false_alarms(crowd, runs, rng), "power": {}}
    for kind in KINDS:
        found["power"][kind] = power(crowd, kind, runs, rng)
    with tempfile.TemporaryDirectory() as scratch:
        found["served"] = served_experiment(SERVED_QUICK if quick else SERVED, Path(scratch) / "site")
    return {**found, "machine": machine()}


@dataclass(frozen=True)
class Regulars:
    """Users of the world's home feed: visits a day, and saves and hides that a visit has in the mean."""

    visits: np.ndarray  # float64[n]
    saves: np.ndarray
    hides: np.ndarray

    @classmethod
    def drawn(cls, rng: np.random.Generator, n: int) -> "Regulars":
        """Each is shown pins of the topics that they like, as a funnel that knows them would."""
        latent = draw_latent(rng, 2_000, 10, n)
        model = ActionModel(latent)
        rates = np.zeros((n, 2))
        for user in range(n):
            liked = np.flatnonzero(latent.users.interests[user][latent.pins.main] > 0)
            pins = rng.choice(liked, min(ANSWER, len(liked)), replace=False)
            chances = model.probabilities(Showing("homefeed", user, pins, 0.0, np.empty(0, int), np.zeros(len(pins))))
            rates[user] = chances.sum(axis=0)[[model.actions.index(name) for name in COLUMNS.actions]]
        return cls(VISITS_A_DAY * n * latent.users.activity, rates[:, 0], rates[:, 1])

    def of(self, rng: np.random.Generator, n: int) -> "Regulars":
        """So many users like these."""
        rows = rng.integers(0, len(self.visits), n)
        return Regulars(self.visits[rows], self.saves[rows], self.hides[rows])

    def past(self, rng: np.random.Generator) -> np.ndarray:
        """Unit columns of which only the fortnight before is filled."""
        out = np.zeros((len(self.visits), len(COLUMNS.names)))
        came = rng.poisson(self.visits * DAYS)
        for name, rate in zip(COLUMNS.actions, (self.saves, self.hides), strict=True):
            out[:, COLUMNS.at(f"before {name}")] = rng.poisson(came * rate)
        all_of_it = out.sum(axis=1)
        out[:, COLUMNS.at("before")] = all_of_it
        out[:, COLUMNS.at("known")] = np.minimum(all_of_it, 32)
        out[:, COLUMNS.at("known lately")] = np.minimum(rng.binomial(all_of_it.astype(int), 0.5), 32)
        return out

    def come(self, rng: np.random.Generator, units: np.ndarray, more: np.ndarray, days: int = 1) -> None:
        """Some days are added to the columns; saves are `more` float[n] times what they were."""
        came = rng.poisson(self.visits * days)
        for name, much in (("requests", came), ("shown", came * ANSWER), ("timed", came)):
            units[:, COLUMNS.at(name)] += much
        units[:, COLUMNS.at(MILLISECONDS)] += rng.gamma(4.0 * came + 1e-9, 5.0)
        units[:, COLUMNS.at(DEGRADED)] += rng.binomial(came, 0.01)
        units[:, COLUMNS.at("did save")] += rng.poisson(came * self.saves * more)
        units[:, COLUMNS.at("did hide")] += rng.poisson(came * self.hides)


def reported(units: np.ndarray, arm: np.ndarray, kind: HorizonKind, day: int) -> TrialReport:
    """The report of users who came."""
    met = units[:, COLUMNS.at("requests")] > 0
    moments = {name: UnitMoments.of(units[met & (arm == at)]) for at, name in enumerate(NAMES)}
    guards = ("hide", MILLISECONDS, DEGRADED)
    trial = TrialSettings("bench", ("homefeed",), ARMS, "save", guardrails=guards, horizon=kind, days=DAYS)
    return report_of(trial, COLUMNS, moments, float(day), ("hide",))


def false_alarms(crowd: Regulars, runs: int, rng: np.random.Generator) -> dict[str, Any]:
    """Shares of experiments without an effect that said there is one."""
    n = len(crowd.visits)
    ids = list(range(n))
    seen: dict[str, list[bool]] = {}
    for number in range(runs):
        experiment = Experiment(
            name="bench", clients=("homefeed",), arms={name: {} for name in NAMES}, salt=f"a-a-{number}"
        )
        arm = arms_of(experiment, ids)
        units = crowd.past(rng)
        daily: dict[str, list[bool]] = {}
        for day in range(1, DAYS + 1):
            crowd.come(rng, units, np.ones(n))
            for kind in KINDS:
                for name, alarm in alarms(reported(units, arm, kind, day)).items():
                    daily.setdefault(f"{kind}.{name}", []).append(alarm)
        for name, said in daily.items():
            seen.setdefault(f"{name}.at_the_end", []).append(said[-1])
            seen.setdefault(f"{name}.on_any_day", []).append(any(said))
    shares: dict[str, Any] = {}
    for name, said in sorted(seen.items()):
        horizon, figure, when = name.split(".")
        shares.setdefault(horizon, {}).setdefault(figure, {})[when] = float(np.mean(said))
    ratio = {name: shares["fixed"].pop(name) for name in ("sample_ratio_p_below_5_percent", "sample_ratio_failed")}
    shares["sequential"] = {name: of for name, of in shares["sequential"].items() if name not in ratio}
    return {"users": n, "days": DAYS, **shares, **ratio}


def alarms(report: TrialReport) -> dict[str, bool]:
    """What a report says beyond doubt, by figure."""
    said = {}
    for row in report.lifts:
        if row.action == "save":
            said[row.figure] = row.plain.sign != 0
            said[f"{row.figure} (CUPED)"] = row.cuped is not None and row.cuped.sign != 0
    said |= {f"guardrail {row.figure}": row.harmed for row in report.guards}
    said["sample_ratio_p_below_5_percent"] = report.sample_ratio.p < 0.05
    said["sample_ratio_failed"] = report.sample_ratio.failed
    return said


def power(crowd: Regulars, kind: HorizonKind, runs: int, rng: np.random.Generator) -> dict[str, Any]:
    """How often a lift of EFFECT is found with as many users as the calculation asks for, and by which day."""
    pilot = crowd.past(rng)
    crowd.come(rng, pilot, np.ones(len(pilot)), DAYS)
    figure = COLUMNS.per_unit("save")
    came = UnitMoments.of(pilot[pilot[:, COLUMNS.at("requests")] > 0])
    cv = variation(came, figure, COLUMNS.covariates("save"))
    needed = units_needed(cv, EFFECT, Confidence(kind), POWER)
    n = round(2 * needed * len(pilot) / came.n)  # not everybody comes
    first = []
    for _ in range(runs):
        users = crowd.of(rng, n)
        units = users.past(rng)
        arm = rng.integers(0, 2, n)
        more = np.where(arm == 1, 1 + EFFECT, 1.0)
        looks = [DAYS] if kind == "fixed" else [1] * DAYS
        day = 0
        at = 0
        for step in looks:
            users.come(rng, units, more, step)
            day += step
            row = deciding(reported(units, arm, kind, day), NAMES[1])
            if row is not None and row.best.sign > 0:
                at = day
                break
        first.append(at)
    when = np.array(first)
    return {
        "effect": EFFECT,
        "variation": {"plain": variation(came, figure), "cuped": cv},
        "users_an_arm": needed,
        "stated": chance_of(EFFECT, cv, (needed, needed), Confidence(kind)).power,
        "found": float(np.mean(when > 0)),
        "median_day": float(np.median(when[when > 0])) if when.any() else None,
    }


def main(argv: list[str] | None = None) -> None:
    """Print the figures as JSON."""
    ask = argparse.ArgumentParser(prog="python -m apps.bench.learning.experiments", description=__doc__)
    ask.add_argument("--quick", action="store_true", help="small sizes: shows that it runs")
    print(json.dumps(run(ask.parse_args(argv).quick), indent=2))


if __name__ == "__main__":
    main()

"""The lightweight stage: features of every candidate, one GBDT per client, survivors. Knows nothing of Ray or HTTP."""

import json
import logging
from collections.abc import Collection
from importlib import import_module

import numpy as np

from cluster import kinds
from cluster.features.assemble import FeatureBlock, FeatureSet
from cluster.features.boosts import boosted_visits
from cluster.features.drift import REFERENCE, FeatureHistograms
from cluster.features.likeness import warm
from cluster.settings.clients import Client
from cluster.similarity.spread import warm as warm_spread
from cluster.store.bundles import Bundle, BundleStore
from cluster.store.damage import opening
from serving.forest.top import top_k
from serving.lightweight.feature_watch import FeatureWatch
from serving.lightweight.features import request_features
from serving.policy.groups import main_topics, shared_boards
from serving.request.arm import ArmSettings
from serving.request.ask import WalkAsk
from serving.request.candidates import Candidates
from serving.request.catalogs import Catalogs
from serving.request.per_arm import Derive, PerArm
from serving.request.ranked import Ranked

log = logging.getLogger(__name__)


class LightweightModel:
    """One client's model: the forest kernel, or XGBoost itself for a model that the kernel refuses."""

    def __init__(self, path: str, features: FeatureSet, version: str):
        import xgboost as xgb

        from serving.forest.forest import Forest

        self.version, self._features = version, features
        with opening(f"model {path}", "train it again"):
            self.booster = xgb.Booster(model_file=path)
            self.forest = Forest.from_booster(self.booster, n_shared=len(features.shared))
        if self.forest.supported:
            self.forest.warm()
        else:
            log.warning("model %s is scored by XGBoost itself: %s", version, self.forest.reason)

    def margins(self, shared: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """The model's raw score of each candidate, float32[n]."""
        return np.asarray(self.forest.margins(shared, candidates), np.float32)

    def contributions(self, matrix: np.ndarray, top: int = 5) -> list[dict[str, float]]:
        """Each row's `top` features by TreeSHAP (Lundberg et al., 2018), in margin units."""
        import xgboost as xgb

        names = list(self._features.names)
        shap = self.booster.predict(xgb.DMatrix(matrix, feature_names=names), pred_contribs=True)[:, :-1]
        return [{names[i]: float(row[i]) for i in np.argsort(-np.abs(row), kind="stable")[:top]} for row in shap]


class LightweightLogic:
    """Scores all candidates of a request and keeps the client's `sizes.lightweight` best."""

    def __init__(
        self,
        store: BundleStore,
        catalogs: Catalogs,
        clients: dict[str, Client],
        features: FeatureSet,
        negative_actions: tuple[str, ...],
        derive: Derive | None = None,
    ):
        """`derive`: as for `PerArm`."""
        self._store = store
        self._catalogs = catalogs
        self._of = PerArm(clients, lambda client: client, derive)
        self._features = features
        self._negative = negative_actions
        self._models: dict[str, LightweightModel] = {}
        self._pinned: dict[tuple[str, str], LightweightModel] = {}  # by client and version, for arms
        self.watch = FeatureWatch(features.names)
        import_module("xgboost")  # now, not between two requests; a process that never ranks goes without
        warm()
        warm_spread()

    def load(self, client: str, version: str) -> None:
        """Open, check and warm a client's model, then swap the reference; requests under way keep the old one."""
        model, bundle = self._opened(client, version)
        reference = _reference(bundle, self._features)
        self._models = {**self._models, client: model}
        self.watch.compare_with(client, reference)

    def prepare_arm(self, arm: ArmSettings) -> None:
        """Have its model beside the published one, if it pins another. Raises ConfigError and BundleError."""
        self._of.of_arm(arm)
        version = arm.version(kinds.lightweight(arm.client))
        if version is not None and (arm.client, version) not in self._pinned:
            known = self._models.get(arm.client)
            model = known if known is not None and known.version == version else self._opened(arm.client, version)[0]
            self._pinned = {**self._pinned, (arm.client, version): model}

    def keep_arms(self, arms: Collection[ArmSettings]) -> None:
        """Forget what only other arms have."""
        self._of.keep({arm.key for arm in arms})
        pinned = {(arm.client, arm.version(kinds.lightweight(arm.client))) for arm in arms}
        self._pinned = {key: model for key, model in self._pinned.items() if key in pinned}

    def _opened(self, client: str, version: str) -> tuple[LightweightModel, Bundle]:
        bundle = self._store.open(kinds.lightweight(client), version).require_schema(self._features)
        return LightweightModel(str(bundle.path / "model.ubj"), self._features, bundle.version), bundle

    def _model_for(self, ask: WalkAsk) -> LightweightModel | None:
        """That which the request's arm pins; the published one where it is not there, which the version tells."""
        version = None if ask.arm is None else ask.arm.version(kinds.lightweight(ask.client))
        pinned = None if version is None else self._pinned.get((ask.client, version))
        return self._models.get(ask.client) if pinned is None else pinned

    def versions(self) -> dict[str, str]:
        """Model version by client, for those that have one."""
        return {client: model.version for client, model in self._models.items()}

    def rank(self, ask: WalkAsk, candidates: Candidates, by_visits: bool = False) -> Ranked:
        """Features, scores and survivors of one request.

        Without a model the order is the walk's own, times the client's `boosts`; `by_visits` asks for the walk's alone.
        """
        catalog, client = self._catalogs.get(candidates.graph_version), self._of.of(ask)
        block = request_features(catalog, candidates, ask, client, self._negative)
        if ask.arm is None:  # other sources or models have other features: they are no drift
            self.watch.note(ask.client, block)
        model = self._model_for(ask)
        n = len(candidates.pins)
        scores = np.full(n, np.nan, np.float32)
        if model is not None and n:
            scores = model.margins(block.shared, block.candidates)
        size = max(client.sizes.lightweight, ask.limit)
        if by_visits or (model is None and not client.boosts):
            survivors = np.arange(min(n, size), dtype=np.int32)
        elif model is None:
            boosted = boosted_visits(candidates.score, block.candidates, self._features.candidate, client.boosts)
            survivors = np.argsort(-boosted, kind="stable")[:size].astype(np.int32)
        else:
            survivors = top_k(scores, size)[0]
        pins, policy = candidates.pins[survivors], client.policy
        return Ranked(
            version=None if model is None else model.version,
            survivors=survivors,
            scores=scores,
            shared=block.shared,
            candidates=block.candidates,
            topics=main_topics(catalog, pins),
            boards=shared_boards(catalog.graph, pins) if policy.board_cap else None,
            vectors=catalog.pins.content(pins) if policy.diversity else None,
        )

    def explain(self, client: str, ranked: Ranked, rows: np.ndarray) -> list[dict[str, float]]:
        """The strongest features of the candidates in `rows`; empty when the model has been swapped meanwhile."""
        known = (self._models.get(client), self._pinned.get((client, ranked.version or "")))
        model = next((one for one in known if one is not None and one.version == ranked.version), None)
        if model is None or not len(rows):
            return []
        return model.contributions(FeatureBlock(ranked.shared, ranked.candidates[rows]).matrix())


def _reference(bundle: Bundle, features: FeatureSet) -> FeatureHistograms | None:
    """What the model's features were like in training; bundles from before that was kept have none."""
    path = bundle.path / REFERENCE
    if not path.exists():
        return None
    with opening(f"{path}", "train it again"):
        reference = FeatureHistograms.from_dict(json.loads(path.read_text()))
        if reference.names != features.names:
            raise ValueError("it tells of other features")
    return reference

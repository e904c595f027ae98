"""A trained full ranker as a folder, and the class that scores with it. Knows nothing of Ray: serving wraps it.

Folder: `ranker.json` (schema, sizes, calibration, metrics), `history.json` (one row per epoch) and `history.svg` (its
curves), `weights.pt`.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from cluster.errors import BundleError, ModelError
from training.ranker.attribution import Attribution, attribute
from training.ranker.batch import Floats, Ints, RankerSchema, RequestBatch
from training.ranker.calibration import Calibration
from training.ranker.config import ModelConfig
from training.ranker.curves import history_svg
from training.ranker.empty import empty_requests
from training.ranker.folded import Folded
from training.ranker.inputs import to_inputs
from training.ranker.model import FullRanker

FORMAT = 1


class FullScorer:
    """Probabilities for every candidate and action. Read-only after construction, so any number of threads may
    score.
    """

    def __init__(
        self,
        schema: RankerSchema,
        config: ModelConfig,
        model: FullRanker,
        calibration: Calibration | None = None,
        metrics: Mapping[str, Any] | None = None,
        history: Sequence[Mapping[str, Any]] = (),
        device: torch.device | str = "cpu",
    ) -> None:
        self.schema, self.config = schema, config
        self.device = torch.device(device)
        self.model = model.to(self.device).eval()
        self._folded = Folded(self.model) if self.device.type == "cpu" else None
        self.calibration = calibration or Calibration.identity(len(schema.clients), len(schema.actions))
        self.metrics = dict(metrics or {})
        self.history = list(history)

    @classmethod
    def open(cls, folder: Path | str, device: torch.device | str = "cpu") -> "FullScorer":
        """Load a saved ranker. Raises BundleError when the folder is incomplete, damaged or of another format."""
        folder = Path(folder)
        try:
            about = json.loads((folder / "ranker.json").read_text())
            if about["format"] != FORMAT:
                raise BundleError(
                    f"full ranker at {folder} has format {about['format']}, this version reads {FORMAT}: train it again"
                )
            schema = RankerSchema.from_json(json.dumps(about["schema"]))
            config = ModelConfig.from_dict(about["config"])
            model = FullRanker(schema.widths, config)
            model.load_state_dict(torch.load(folder / "weights.pt", map_location="cpu", weights_only=True))
            calibration = Calibration(np.array(about["calibration"]["slope"]), np.array(about["calibration"]["offset"]))
            history = json.loads((folder / "history.json").read_text())
            return cls(schema, config, model, calibration, about["metrics"], history, device)
        except BundleError:
            raise
        except Exception as error:  # a torn file can fail in any way inside the unpickler
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise BundleError(f"cannot load the full ranker at {folder} ({reason}): publish it again") from error

    def save(self, folder: Path | str) -> None:
        """Write the folder; storage publishes it atomically."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        torch.save({k: v.cpu() for k, v in self.model.state_dict().items()}, folder / "weights.pt")
        about = {
            "format": FORMAT,
            "schema": json.loads(self.schema.to_json()),
            "config": self.config.to_dict(),
            "calibration": {"slope": self.calibration.slope.tolist(), "offset": self.calibration.offset.tolist()},
            "metrics": self.metrics,
        }
        (folder / "history.json").write_text(json.dumps(self.history, indent=1))
        if self.history:
            (folder / "history.svg").write_text(history_svg(self.history, self.schema.actions))
        (folder / "ranker.json").write_text(json.dumps(about, indent=1))

    def logits(self, batch: RequestBatch) -> Floats:
        """Uncalibrated float32[N, A]; positions in the batch are ignored."""
        if batch.n_candidates == 0:
            return np.zeros((0, len(self.schema.actions)), np.float32)
        self._check(batch)
        if self._folded is not None:
            return self._folded.logits(batch)
        half = torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda")
        with torch.inference_mode(), half:
            out: Floats = self.model(to_inputs(batch, self.device)._replace(position=None)).cpu().numpy()
        return out

    def score(self, batch: RequestBatch) -> Floats:
        """Calibrated probabilities float32[N, A], columns in `schema.actions` order. Raises ModelError on a wrong
        width.
        """
        return self.calibration.apply(self.logits(batch), batch.client[batch.request])

    def explain(self, batch: RequestBatch) -> Attribution:
        """What each input of one request adds to the log-odds of each probability (training/ranker/attribution.py)."""
        self._check(batch)
        found = attribute(self.model, self.schema, to_inputs(batch, self.device)._replace(position=None))
        slope, offset = self.calibration.slope[batch.client[0]], self.calibration.offset[batch.client[0]]
        parts = (found.values * slope[:, None], found.baseline * slope + offset, found.logits * slope + offset)
        return Attribution(found.names, *(part.astype(np.float32) for part in parts))

    def position_odds(self, batch: RequestBatch) -> Floats:
        """By how much a candidate's position alone multiplied the odds of each action: float32[N, A].

        As learnt in training (training/ranker/position.py), about 1 on average; 1 where nothing was shown, and for a
        model without positions. For inverse propensity weights (Joachims, Swaminathan and Schnabel, WSDM 2017).
        """
        if batch.position is None:
            return np.ones((batch.n_candidates, len(self.schema.actions)), np.float32)
        return self._odds(batch.client[batch.request], batch.position)

    def odds_at(self, client: str, position: npt.NDArray) -> Floats:
        """The same for one client's positions int[n]: float32[n, A]."""
        return self._odds(np.full(len(position), self.schema.client_index(client)), position)

    def _odds(self, client: Ints, position: npt.NDArray) -> Floats:
        if self.model.position is None:
            return np.ones((len(position), len(self.schema.actions)), np.float32)
        where = (torch.from_numpy(a.astype(np.int64)).to(self.device) for a in (client, position))
        with torch.inference_mode():
            odds: Floats = self.model.position(*where).exp().cpu().numpy()
        return odds

    def warm(self, candidates: int = 256) -> int:
        """Run once on made-up input, so that the first real request does not pay for lazy set-up. Returns its size."""
        self.score(empty_requests(self.schema, requests=1, candidates=candidates))
        return candidates

    def _check(self, batch: RequestBatch) -> None:
        w = self.schema.widths
        got = (batch.shared.shape[1], batch.candidates.shape[1], batch.candidate_vector.shape[1])
        if got != (w.shared, w.candidate, w.vector):
            raise ModelError(
                f"request has {got[0]} shared, {got[1]} candidate and {got[2]} vector columns, the full ranker was "
                f"trained on {w.shared}, {w.candidate} and {w.vector}: serve the model trained for this schema"
            )


def best_device() -> str:
    """Where a server scores: on a GPU when there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"

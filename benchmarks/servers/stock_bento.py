"""A BentoML service as its documentation writes one.

A pydantic model in, `inplace_predict`, a dictionary out.
"""

import json
import os
from pathlib import Path
from typing import Literal

import bentoml
import numpy as np
import pydantic
import xgboost

FEATURES = json.loads(Path(os.environ["STOCK_FEATURES"]).read_text(encoding="utf-8"))


def _type_of(feature):
    return Literal[tuple(feature["categories"])] if feature["categories"] else float


FIELDS = {"lead_id": (str, ...), **{feature["name"]: (_type_of(feature), ...) for feature in FEATURES}}
Lead = pydantic.create_model("Lead", **FIELDS)
CODES = [
    (feature["name"], {name: code for code, name in enumerate(feature["categories"])}) for feature in FEATURES
]


@bentoml.service(workers=1, traffic={"timeout": 30})
class StockLeadScoring:
    """One model, one endpoint, everything else at its defaults."""

    def __init__(self) -> None:
        self.booster = xgboost.Booster({"nthread": 1})
        self.booster.load_model(os.environ["STOCK_MODEL"])
        self.booster.set_param({"nthread": 1})

    @bentoml.api
    def score_lead(self, lead: Lead) -> dict:
        """Score one lead."""
        row = [codes[getattr(lead, name)] if codes else getattr(lead, name) for name, codes in CODES]
        probability = float(self.booster.inplace_predict(np.array([row], dtype=np.float32))[0])
        return {"lead_id": lead.lead_id, "probability": probability}

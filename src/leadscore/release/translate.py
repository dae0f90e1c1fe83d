"""Logged feature rows of one contract, read as rows of another.

A replay must work across contract versions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from leadscore.arrays import Matrix
from leadscore.contract import Categorical, FeatureContract


@dataclass(frozen=True, slots=True, eq=False)
class Translation:
    """How columns of the logged rows become the candidate's.

    Attributes:
        sources: For each input of the candidate, the logged column; -1 where there is none.
        codes: For each categorical input, new index by old index (NaN: the candidate does not know it); None:
            as is.
        notes: What is lost, for people.
    """

    sources: tuple[int, ...]
    codes: tuple[Matrix | None, ...]
    notes: tuple[str, ...]

    def apply(self, rows: Matrix) -> Matrix:
        """Rows float32 (n, logged inputs) as float32 (n, candidate's inputs).

        What is not there is missing (NaN).
        """
        out = np.full((len(rows), len(self.sources)), np.nan, dtype=np.float32)
        for column, (source, codes) in enumerate(zip(self.sources, self.codes, strict=True)):
            if source < 0:
                continue
            values = rows[:, source]
            if codes is None:
                out[:, column] = values
                continue
            known = np.isfinite(values) & (values >= 0) & (values < len(codes))
            out[known, column] = codes[values[known].astype(np.intp)]
        return out


def translation(logged: FeatureContract, wanted: FeatureContract) -> Translation:
    """From one contract's encoding to another's, by names of features and of categories."""
    places = {feature.name: place for place, feature in enumerate(logged.inputs)}
    sources: list[int] = []
    codes: list[Matrix | None] = []
    notes: list[str] = []
    for feature in wanted.inputs:
        place = places.get(feature.name, -1)
        before = logged.inputs[place] if place >= 0 else None
        if before is None or isinstance(before, Categorical) != isinstance(feature, Categorical):
            what = "was not logged" if before is None else "was logged as another kind"
            notes.append(f"{feature.name} {what}: the candidate scored it as missing.")
            sources.append(-1)
            codes.append(None)
            continue
        sources.append(place)
        if not (isinstance(feature, Categorical) and isinstance(before, Categorical)):
            codes.append(None)
            continue
        new = {name: index for index, name in enumerate(feature.categories)}
        mapped = np.array([new.get(name, np.nan) for name in before.categories], dtype=np.float32)
        codes.append(mapped)
        lost = [name for name, code in zip(before.categories, mapped.tolist(), strict=True) if np.isnan(code)]
        if lost:
            notes.append(f"{feature.name}: the candidate does not know {', '.join(lost[:5])}.")
    return Translation(tuple(sources), tuple(codes), tuple(notes))

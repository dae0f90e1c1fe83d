"""Documents that people write: contracts, key files, retraining policies and drift options, spoiled."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import msgspec
from tests.fuzz.mutate import Mutator, mutate_bytes, mutate_json, mutate_words
from tests.support.artefacts import sample_contract

from leadscore.backtest.policy_file import read_policy
from leadscore.contract import contract_version, dump_contract
from leadscore.contract.document import load_contract
from leadscore.contract.request import LeadDecoder
from leadscore.drift.options import DriftOptions
from leadscore.errors import MAX_MESSAGE, LeadScoreError
from leadscore.identity.apikeys import create_key, read_keys
from leadscore.monitoring.options import read_options

_POLICY = """apiVersion: leadscore.dev/v1
kind: RetrainPolicy
metadata: {name: leads, labels: &labels {app: leads}}
spec:
  model: leads
  triggers:
    drift: {minSeverity: significant, consecutive: 2, hold: 7d}
    schedule:
      ramp: [{every: 7d, for: 90d}, {every: 30d}]
  budget: {runs: 4, per: 30d}
"""


class DocumentFuzzer:
    """One sound document of each kind; each case spoils one of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        create_key(folder / "keys.yaml", "crm", ["score", "explain"])
        create_key(folder / "keys.yaml", "batch", ["score"])
        contract = dump_contract(sample_contract()).encode()
        self._kinds: tuple[tuple[str, bytes, Callable[[Path], object]], ...] = (
            ("contract.yaml", contract, _read_contract),
            ("contract.json", msgspec.json.encode(sample_contract()), _read_contract),
            ("keys.yaml", (folder / "keys.yaml").read_bytes(), read_keys),
            ("policy.yaml", _POLICY.encode(), read_policy),
            ("options.json", msgspec.json.encode(DriftOptions()), read_options),
        )
        for name, document, _ in self._kinds:
            (folder / name).write_bytes(document)

    def run(self, rng: random.Random) -> str:
        """One case; the word says how it ended. Whatever it raises is a fault."""
        name, document, read = rng.choice(self._kinds)
        mutators: tuple[Mutator, ...] = (mutate_bytes, mutate_words, mutate_words)
        if name.endswith(".json"):
            mutators = (*mutators, mutate_json, mutate_json)
        path = self._folder / name
        path.write_bytes(rng.choice(mutators)(document, rng))
        try:
            read(path)
        except LeadScoreError as error:
            return _refused(name, error)
        return "loaded"


def _read_contract(path: Path) -> object:
    contract = load_contract(path)
    contract_version(contract)
    dump_contract(contract)
    return LeadDecoder(contract)


def _refused(name: str, error: LeadScoreError) -> str:
    if not error.message or len(error.message) > MAX_MESSAGE + 2:
        raise AssertionError(f"{name}: a message of {len(error.message)} characters")
    return "refused"

"""alibi-detect's detectors behind our interface, run as a program in an environment of their own.

alibi-detect 0.11.4 is the last release under Apache-2.0 and needs numpy 1, so it is never imported here: the
samples go to it as Arrow files, the answer comes back as JSON. Its MMDDrift is not offered: it needs a
deep-learning framework, and `multivariate.mmd_test` is the same test.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec
import numpy as np

from leadscore.arrays import Matrix
from leadscore.contract import Categorical, FeatureContract
from leadscore.documents import DECODE_ERRORS
from leadscore.errors import BadInputError, LeadScoreError, UnavailableError

AlibiName = Literal["KSDrift", "CVMDrift", "ChiSquareDrift", "CVMDriftOnline"]
Options = dict[str, float | int | str | list[int]]

PYTHON_VARIABLE: Final = "LEADSCORE_ALIBI_PYTHON"
_WORKER: Final = Path(__file__).with_name("alibi_worker.py")
_SECONDS: Final = 1_800


class AlibiFailedError(LeadScoreError):
    """alibi-detect failed or its output cannot be read; there is no verdict."""

    code = "alibi_failed"


class AlibiWindow(msgspec.Struct, frozen=True):
    """What alibi-detect says of one window.

    Attributes:
        drift: Its own decision.
        p_values: Per feature (offline detectors), not corrected for their number.
        distances: Per feature: its statistic; of the last row that was read (online detectors).
        critical_value: The p-value below which (offline), or the statistic above which (online) it decides.
        alarm_row: Row of the first alarm, counted from 1 (online); None without one.
    """

    drift: bool
    p_values: tuple[float, ...]
    distances: tuple[float, ...]
    critical_value: float
    alarm_row: int | None


class AlibiResult(msgspec.Struct, frozen=True):
    """The worker's answers, one per window."""

    windows: tuple[AlibiWindow, ...]


class AlibiJob(msgspec.Struct, frozen=True):
    """A job for the worker: the content of `job.json`."""

    detector: AlibiName
    options: Options
    reference: str
    windows: tuple[str, ...]


def alibi_python() -> Path:
    """The interpreter of alibi-detect's environment.

    `LEADSCORE_ALIBI_PYTHON`, or what `make drift-alibi` made.

    Raises:
        UnavailableError: There is none.
    """
    given = os.environ.get(PYTHON_VARIABLE)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "leadscore" / "alibi-detect"
    python = Path(given) if given else folder / "bin" / "python"
    if not python.is_file() or not (given or (folder / "complete").is_file()):
        raise UnavailableError(
            f"alibi-detect's environment is not there ({python}).",
            hint=f"Make it with `make drift-alibi`, or name its interpreter in {PYTHON_VARIABLE}.",
        )
    return python


def run_alibi(
    detector: AlibiName,
    contract: FeatureContract,
    reference: Matrix,
    windows: Sequence[Matrix],
    options: Options | None = None,
) -> AlibiResult:
    """Let a detector judge windows, each by itself (online detectors: each as a stream from its beginning).

    Missing values become a value of their own below all others, categories their number: alibi-detect takes
    numbers only. ChiSquareDrift sees the categorical features, the others all features.

    Args:
        detector: Class of `alibi_detect.cd`.
        contract: Says which columns are categories.
        reference: Encoded leads (n, inputs).
        windows: Encoded leads each.
        options: Arguments of the class, and `seed`.

    Raises:
        UnavailableError: The environment is missing.
        AlibiFailedError: The detector failed; the message has the end of what it said.
    """
    python = alibi_python()
    columns = watched_columns(detector, contract)
    filled = np.concatenate([reference, *windows])[:, columns]
    lowest = np.nanmin(reference[:, columns], axis=0, initial=0.0) - 1.0
    filled = np.where(np.isnan(filled), lowest, filled).astype(np.float32)
    pieces = np.split(filled, np.cumsum([len(reference), *(len(w) for w in windows)])[:-1])
    with tempfile.TemporaryDirectory(prefix="leadscore-alibi-") as name:
        return _run(python, Path(name), detector, dict(options or {}), pieces)


def watched_columns(detector: AlibiName, contract: FeatureContract) -> list[int]:
    """Columns of the matrix that the detector sees.

    Raises:
        BadInputError: None: ChiSquareDrift and a contract without categories.
    """
    chosen = [
        i
        for i, feature in enumerate(contract.inputs)
        if detector != "ChiSquareDrift" or isinstance(feature, Categorical)
    ]
    if not chosen:
        raise BadInputError(f"{detector} watches categories, and the contract has none.")
    return chosen


def _run(
    python: Path,
    folder: Path,
    detector: AlibiName,
    options: Options,
    pieces: Sequence[Matrix],
) -> AlibiResult:
    names = tuple(f"{number}.arrow" for number in range(len(pieces)))
    for name, piece in zip(names, pieces, strict=True):
        _write(folder / name, piece)
    job = AlibiJob(detector, options, names[0], names[1:])
    (folder / "job.json").write_bytes(msgspec.json.encode(job))
    command = [str(python), "-W", "ignore", str(_WORKER), str(folder)]
    try:
        done = subprocess.run(  # noqa: S603 (the user's own interpreter, no shell)
            command, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise AlibiFailedError(
            f"alibi-detect's {detector} took more than {_SECONDS} s.",
            hint="Give it fewer rows or bootstraps.",
        ) from error
    if done.returncode:
        raise AlibiFailedError(f"alibi-detect's {detector} failed: {done.stderr.strip()[-600:]}")
    try:
        return msgspec.json.decode((folder / "result.json").read_bytes(), type=AlibiResult)
    except (OSError, *DECODE_ERRORS) as error:
        raise AlibiFailedError(f"alibi-detect's {detector} gave no answer: {error}.") from error


def _write(path: Path, matrix: Matrix) -> None:
    import pyarrow as pa  # noqa: PLC0415

    arrays = [pa.array(np.ascontiguousarray(matrix[:, i])) for i in range(matrix.shape[1])]
    table = pa.table(arrays, names=[str(i) for i in range(len(arrays))])
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)

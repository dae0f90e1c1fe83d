"""The same leads in every format give the same scores, bit for bit.

Random tables, written in many ways and read back.

`python -m benchmarks.same_leads --tables 10000 --seed 1` says how many of the tables differed, and the seeds
of the first.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import random
import shutil
import sys
import tempfile
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from leadscore.contract import Boolean, Categorical, ColumnFormat, Feature, FeatureContract, Numeric, Target
from leadscore.contract.request import LeadDecoder
from leadscore.data.bulk import score_file
from leadscore.data.tables import read_table
from leadscore.errors import LeadScoreError
from leadscore.scoring.grades import Grades

Cell = str | float | bool | None

_CATEGORIES = (
    "web", "Web ", "fair", "1.0", "1.10", "2.0", "3", "4", "true", "false", "True", "yes", "09:00",
    "14:30:00", "2026-01-05", "01067", "1067", "12345e10", "NA", "None", "-", "N/A", "a,b", "a;b", 'quo"te',
    "two\nlines", "tab\tbed", "Událost", "é", "größe", " padded", "#5", "'x'", "null", "0", "1",
)  # fmt: skip
_UNSEEN = (
    "other",
    "3.0",
    "4.0",
    "TRUE",
    "unknown",
    "",
    "n/a",
    "1.1",
    "É",
    "NaN",
    "?",
    "inf",
    "1e5",
    "\u00a0",
)
_NUMBERS = (
    0.0,
    1.0,
    -1.0,
    0.1,
    1.5,
    29.118,
    1234.5,
    1e-9,
    1e300,
    -1e300,
    2.0**53 + 2,
    3.4e38,
    16777217.0,
    999.0,
)
_FORMATS = (
    ColumnFormat(),
    ColumnFormat(decimal=",", thousands="."),
    ColumnFormat(thousands=","),
    ColumnFormat(decimal=",", thousands=" "),
    ColumnFormat(decimal=",", missing=("Select",)),
)
_IDS = ("A1", "12345e10", "2026-01-05", "007", "A 1", "é", "1e5", "true", "09:00", "x,y", "NA")
_MISSING = ("", "N/A", "-", "NaN", "None", "(blank)", "#DIV/0!")


@dataclass(frozen=True, slots=True)
class RandomTable:
    """Leads as a caller would send them, and their contract."""

    contract: FeatureContract
    leads: list[dict[str, Cell]]


class Scorer:
    """A model that tells every two different rows apart, but for chance."""

    def __init__(self, contract: FeatureContract) -> None:
        self.contract = contract
        self.grades = Grades(0.7, 0.4, 0.2)

    def score_rows(self, matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """A probability made of all bits of a row; missing values are all alike."""
        bits = np.where(np.isnan(matrix), np.float32(np.nan), matrix + np.float32(0.0)).view(np.uint32)
        mixed = np.zeros(len(matrix), np.uint64)
        for column in bits.T:
            mixed = (mixed ^ column.astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        return (mixed >> np.uint64(11)).astype(np.float64) / 2.0**53


def random_table(seed: int) -> RandomTable:
    """A contract of one to six features and one to eight leads that fit it."""
    draw = random.Random(seed)
    features: list[Feature] = []
    formats: dict[str, ColumnFormat] = {}
    for position in range(draw.randint(1, 6)):
        name = f"f{position}"
        kind = draw.choice(["number", "whole", "category", "category", "boolean"])
        if kind == "category":
            names = draw.sample(_CATEGORIES, draw.randint(1, 6))
            features.append(Categorical(name=name, categories=tuple(names)))
        elif kind == "boolean":
            features.append(Boolean(name=name))
        else:
            features.append(Numeric(name=name, integer=kind == "whole"))
            formats[name] = draw.choice(_FORMATS)
    contract = FeatureContract(
        name="random", id="id", target=Target(column="won"), features=tuple(features), formats=formats
    )
    leads = [
        {"id": draw.choice(_IDS) + str(row), **{f.name: _value(draw, f) for f in features}}
        for row in range(draw.randint(1, 8))
    ]
    return RandomTable(contract, leads)


def _value(draw: random.Random, feature: Feature) -> Cell:
    if draw.random() < 0.15:
        return None
    match feature:
        case Numeric(integer=True):
            return float(draw.choice([draw.randint(-5, 2000), draw.randint(-(2**53), 2**53)]))
        case Numeric():
            return draw.choice(
                [
                    draw.choice(_NUMBERS),
                    draw.gauss(0, 1000),
                    draw.uniform(0, 1),
                    float(draw.randint(0, 10**6)),
                ]
            )
        case Boolean():
            return draw.random() < 0.5
        case Categorical():
            listed = draw.choice(feature.categories)
            form = draw.choice(["NFC", "NFD"])
            return draw.choice([listed, listed, unicodedata.normalize(form, listed), draw.choice(_UNSEEN)])


def written_number(value: float, form: ColumnFormat, draw: random.Random) -> str:
    """A number as a table of that format writes it, to the last digit."""
    text = repr(value)
    if "e" in text or "E" in text:
        return text if form.decimal == "." else text.replace(".", ",")
    whole, _, fraction = text.partition(".")
    if form.thousands and draw.random() < 0.7:
        whole = f"{int(whole):,}".replace(",", form.thousands) if whole.lstrip("-") != "0" else whole
    return whole if fraction == "0" and draw.random() < 0.5 else f"{whole}{form.decimal}{fraction}"


def _texts(table: RandomTable, draw: random.Random, *, empty: str | None) -> dict[str, list[str | None]]:
    """Every column as text, null by some word for it (categories keep theirs: a word may be one of them)."""
    columns: dict[str, list[str | None]] = {"id": [str(lead["id"]) for lead in table.leads]}
    for feature in table.contract.features:
        form = table.contract.format_of(feature.name)
        cells: list[str | None] = []
        for lead in table.leads:
            value = lead[feature.name]
            if value is None:
                words = [
                    w for w in (*_MISSING, *form.missing) if not isinstance(feature, Categorical) or not w
                ]
                cells.append(draw.choice([empty, *words]) if "" not in _listed(feature) else empty)
            elif isinstance(value, bool):
                cells.append(
                    draw.choice(["true", "True", "yes", "1"] if value else ["false", "FALSE", "no", "0"])
                )
            elif isinstance(value, float):
                cells.append(written_number(value, form, draw))
            else:
                cells.append(value)
        columns[feature.name] = cells
    return columns


def _listed(feature: Feature) -> tuple[str, ...]:
    return feature.categories if isinstance(feature, Categorical) else ()


def _typed(table: RandomTable, draw: random.Random) -> pa.Table:
    """Columns with types of their own; a category's, too, where text and type say the same."""
    columns: dict[str, pa.Array] = {"id": pa.array([lead["id"] for lead in table.leads], pa.string())}
    for feature in table.contract.features:
        values = [lead[feature.name] for lead in table.leads]
        match feature:
            case Numeric():
                whole = all(v is None or (float(v).is_integer() and abs(float(v)) < 2**63) for v in values)
                kinds = [pa.int64(), pa.float64()] if whole else [pa.float64()]
                kind = draw.choice(kinds)
                columns[feature.name] = pa.array(
                    [None if v is None else (int(v) if kind == pa.int64() else float(v)) for v in values],
                    kind,
                )
            case Boolean():
                columns[feature.name] = pa.array(values, pa.bool_())
            case Categorical():
                columns[feature.name] = _typed_category(values, draw)
    return pa.table(columns)


def _typed_category(values: Sequence[Cell], draw: random.Random) -> pa.Array:
    texts = [value for value in values if isinstance(value, str)]
    readers: list[tuple[Callable[[str], object], pa.DataType]] = [
        (_exactly(int, str), pa.int64()),
        (_exactly(lambda text: {"true": True, "false": False}[text], lambda v: str(v).lower()), pa.bool_()),
        (_exactly(date.fromisoformat, str), pa.date32()),
        (_exactly(time.fromisoformat, str), pa.time64("us")),
    ]
    for read, kind in readers:
        try:
            return pa.array([None if value is None else read(str(value)) for value in values], kind)
        except (ValueError, KeyError, OverflowError):
            continue
    plain = pa.array(values, pa.string())
    return plain.dictionary_encode() if texts and draw.random() < 0.5 else plain


def _exactly(read: Callable[[str], object], write: Callable[[object], str]) -> Callable[[str], object]:
    """Read what is written back the same, and nothing else."""

    def found(text: str) -> object:
        value = read(text)
        if write(value) != text:
            raise ValueError(text)
        return value

    return found


def _write_csv(path: Path, columns: dict[str, list[str | None]], draw: random.Random) -> None:
    delimiter = draw.choice(",;\t|")
    end = draw.choice(["\n", "\r\n"])
    with path.open("w", encoding=draw.choice(["utf-8", "utf-8-sig"]), newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_MINIMAL)
        writer.writerow(columns)
        writer.writerows([cell or "" for cell in row] for row in zip(*columns.values(), strict=True))
    if draw.random() < 0.2:
        path.write_bytes(gzip.compress(path.read_bytes()))


def variants(table: RandomTable, folder: Path, seed: int) -> dict[str, Path]:
    """The table in files of every format, by what they are."""
    from deltalake import write_deltalake  # noqa: PLC0415

    draw = random.Random(seed)
    typed, texts = _typed(table, draw), pa.table(_texts(table, draw, empty=None))
    paths = {
        name: folder / file
        for name, file in {
            "CSV": "leads.csv",
            "Parquet": "leads.parquet",
            "Parquet of text": "text.parquet",
            "Arrow": "leads.arrow",
            "Delta": "delta",
        }.items()
    }
    _write_csv(paths["CSV"], _texts(table, draw, empty=""), draw)
    pq.write_table(typed, paths["Parquet"], row_group_size=draw.randint(1, 8))
    pq.write_table(texts, paths["Parquet of text"])
    with pa.OSFile(str(paths["Arrow"]), "wb") as sink, pa.ipc.new_file(sink, typed.schema) as writer:
        writer.write_table(typed, max_chunksize=3)
    # Delta has no times of day and no dictionaries.
    plain = [
        field.with_type(pa.string())
        if pa.types.is_time(field.type) or pa.types.is_dictionary(field.type)
        else field
        for field in typed.schema
    ]
    written = typed.schema
    if written != pa.schema(plain):
        by_name = dict(zip(texts.column_names, texts.columns, strict=True))
        typed = pa.table(
            {f.name: by_name[f.name] if f != written.field(f.name) else typed[f.name] for f in plain}
        )
    write_deltalake(str(paths["Delta"]), typed)
    return paths


def differences(seed: int, folder: Path) -> list[str]:
    """The formats in which the leads of a random table have other ids or scores than as requests."""
    table = random_table(seed)
    model = Scorer(table.contract)
    decoder = LeadDecoder(table.contract)
    bodies = [json.dumps(lead).encode() for lead in table.leads]
    asked = [decoder.decode(body) for body in bodies]
    ids = [lead.lead_id for lead in asked]
    expected = model.score_rows(np.array([lead.row for lead in asked]))
    found: list[str] = []
    many = decoder.decode_many(json.dumps({"leads": table.leads}).encode(), 100)
    if many.lead_ids != ids or not np.array_equal(model.score_rows(many.rows), expected):
        found.append("JSON in bulk")
    for name, path in variants(table, folder, seed).items():
        try:
            score_file(model, path, folder / "scores.parquet", threads=1, batch_rows=5)
        except LeadScoreError as error:
            found.append(f"{name}: {error}")
            continue
        scores = read_table(folder / "scores.parquet")
        if scores["id"].to_pylist() != ids or not np.array_equal(scores["probability"].to_numpy(), expected):
            found.append(name)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as many random tables as wanted; exit code 1 if any differed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    different: dict[int, list[str]] = {}
    for seed in range(options.seed, options.seed + options.tables):
        folder = Path(tempfile.mkdtemp(prefix="same-leads-"))
        try:
            found = differences(seed, folder)
        finally:
            shutil.rmtree(folder)
        if found:
            different[seed] = found
    for seed, found in list(different.items())[:10]:
        print(f"seed {seed}: {'; '.join(found)}")
    print(f"{len(different)} of {options.tables} random tables differ between formats")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())

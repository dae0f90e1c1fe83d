"""Choose the files of a folder that are one table, and refuse a file that is there twice."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

import pyarrow as pa

from leadscore.errors import TableError

CSV: Final = (".csv", ".tsv", ".csv.gz")
PARQUET: Final = (".parquet",)
# Files of these kinds are not read together with others: without an error they would silently be missing.
_OTHERS: Final = (".pq", ".arrow", ".feather", ".xlsx", ".xls", ".xlsm", ".ods")
# What browsers and file managers call a second copy of a file.
_COPY: Final = re.compile(
    r"(?P<of>.+?)( \([0-9]+\)| ?[-–] ?(copy|kopie|copie|copia)( ?\([0-9]+\))?| (copy|kopie)( [0-9]+)?)",
    re.IGNORECASE,
)
_PIECE: Final = 1 << 20


def suffix_of(path: Path) -> str:
    """What the file's name says of its format, in lower case."""
    name = path.name.lower()
    return ".csv.gz" if name.endswith(".csv.gz") else path.suffix.lower()


def folder_files(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """The files of those formats in a folder and below it, by name.

    Left out is what programs hide there: `.b.csv`, the `._b.csv` and `__MACOSX` of macOS, the `~$b.xlsx` of
    Excel; of Parquet files also those that begin with `_`, which are not data by its writers' convention.
    """
    hidden = (".", "~$", "__MACOSX", *(("_",) if suffixes is PARQUET else ()))
    return sorted(
        file
        for file in folder.rglob("*")
        if suffix_of(file) in suffixes
        and file.is_file()
        and not any(part.startswith(hidden) for part in file.relative_to(folder).parts)
    )


def folder_kind(folder: Path) -> Literal["csv", "parquet"] | None:
    """The format of the folder's files; None if it holds none that are read.

    Raises:
        TableError: It holds files of several formats, of which only one could be read.
    """
    csv, parquet, others = (folder_files(folder, suffixes) for suffixes in (CSV, PARQUET, _OTHERS))
    if sum(map(bool, (csv, parquet, others))) > 1:
        shown = " and ".join(files[0].name for files in (csv, parquet, others) if files)
        raise TableError(
            f"The folder {folder} holds tables of several formats, as {shown}.",
            hint="Keep the files of one table in a folder of their own, in one format.",
        )
    return "csv" if csv else "parquet" if parquet else None


def refuse_copies(files: Sequence[Path], rows_of: Callable[[Path], int]) -> None:
    """Refuse a folder in which one file is there twice, byte for byte: each of its leads would count twice.

    Raises:
        TableError: Names both.
    """
    sizes: dict[tuple[object, ...], list[Path]] = {}
    for file in files:
        # Partitions (`country=DE/`) add values: their files may be the same and hold other leads.
        partition = [part for part in file.parts[:-1] if "=" in part]
        sizes.setdefault((file.stat().st_size, *partition), []).append(file)
    for alike in sizes.values():
        seen: dict[bytes, Path] = {}
        for file in alike if len(alike) > 1 else ():
            first = seen.setdefault(_digest(file), file)
            if first is not file and rows_of(file):
                raise _twice(first, file, "they are the same, byte for byte")


def refuse_second_downloads(tables: Mapping[Path, pa.Table]) -> None:
    """Refuse `a (1).csv` beside `a.csv` where both hold some of the same rows.

    Raises:
        TableError: Names both, and how many rows they share.
    """
    for file, table in tables.items():
        name = _COPY.fullmatch(file.name.split(".")[0])
        first = None if name is None else file.with_name(name["of"] + file.name[len(name[0]) :])
        if first is None or first not in tables:
            continue
        shared = len(_rows(table) & _rows(tables[first]))
        if shared:
            raise _twice(first, file, f"they share {shared} rows")


def _rows(table: pa.Table) -> set[tuple[object, ...]]:
    names = sorted(table.column_names)
    return set(zip(*(table.column(name).to_pylist() for name in names), strict=True))


def _digest(file: Path) -> bytes:
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while piece := content.read(_PIECE):
            digest.update(piece)
    return digest.digest()


def _twice(first: Path, second: Path, why: str) -> TableError:
    return TableError(
        f"{second} looks like a copy of {first.name}: {why}.",
        hint="Remove one of them: its leads would count twice.",
    )

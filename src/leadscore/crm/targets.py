"""The file of targets: which systems are told of scores, and into which of their fields.

It holds no secrets: credentials are files in a folder that it names.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec

from leadscore.crm.updates import UPDATE_FIELDS
from leadscore.crm.vendors.mapping import mapping_problems
from leadscore.documents import MAX_BYTES, read_yaml
from leadscore.errors import BadInputError
from leadscore.files import read_file

TARGETS_VARIABLE: Final = "LEADSCORE_CRM"
CRM_CHANNEL: Final = "crm:"
TABLE_CHANNEL: Final = "crm-table:"
TargetKind: TypeAlias = Literal["salesforce", "hubspot", "dynamics", "table"]
TargetName: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
_HINT: Final = "See docs/crm.md; `leadscore crm status` shows the targets."
_SECRET: Final = re.compile(r"secret|password|passwd|token|api_?key|private_?key", re.IGNORECASE)


class TargetsFileError(BadInputError):
    """The file of CRM targets is not one; the message names the target and the field."""

    code = "crm_targets_invalid"


class CrmTarget(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One system that is told of scores.

    Attributes:
        name: Of this target; part of the ids of its messages.
        kind: Whose API it is, or `table`: a Delta table of the lake that the CRM's own job reads.
        url: Of the CRM's API.
        credentials: Folder with one file per value (`client_id`, `client_secret`, …).
        object: Of the CRM, such as `Lead`.
        fields: What is written into which of its fields.
        model: Whose scores; empty: of the only model that there is.
        options: Of the vendor.
        outcomes: How won and lost are read; None: they are not.
    """

    name: TargetName
    kind: TargetKind
    url: str = ""
    credentials: str = ""
    object: str = ""
    fields: dict[str, str] = {}
    model: str = ""
    options: dict[str, str | int] = {}
    outcomes: dict[str, Any] | None = None

    @property
    def channel(self) -> str:
        """Of its messages in the outbox."""
        return (TABLE_CHANNEL if self.kind == "table" else CRM_CHANNEL) + self.name

    @property
    def told(self) -> tuple[str, ...]:
        """Fields of an update that it is told; a table has all of them."""
        return UPDATE_FIELDS if self.kind == "table" else tuple(sorted(self.fields))


class _TargetsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    targets: list[dict[str, Any]] = []


class CrmTargets(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file: each name once."""

    targets: tuple[CrmTarget, ...] = ()

    def named(self, name: str) -> CrmTarget | None:
        """The target of that name, None if there is none."""
        return next((target for target in self.targets if target.name == name), None)


def targets_path(environ: Mapping[str, str] = os.environ) -> Path | None:
    """The file that `LEADSCORE_CRM` names; None: no targets but webhook endpoints."""
    named = environ.get(TARGETS_VARIABLE)
    return Path(named) if named else None


def load_targets(path: Path | None) -> CrmTargets:
    """Read the file.

    Raises:
        TargetsFileError: It cannot be read, or is no such file; the message says where.
    """
    if path is None:
        return CrmTargets()
    try:
        text = read_file(path, MAX_BYTES)
    except OSError as error:
        raise TargetsFileError(
            f"{path} cannot be read: {error.strerror}.",
            hint=f"{TARGETS_VARIABLE} or --targets names the file: is it there, and may this user read it?",
        ) from error
    return parse_targets(text, path.name)


def targets_fault(path: Path | None) -> str:
    """What is wrong with the file; empty: nothing."""
    try:
        load_targets(path)
    except TargetsFileError as error:
        return error.message
    return ""


def parse_targets(text: bytes, origin: str) -> CrmTargets:
    """Read a file's content.

    Raises:
        TargetsFileError: It is none; the message names target and field.
    """
    document = read_yaml(text, origin, TargetsFileError, hint=_HINT)
    if not isinstance(document, dict):
        raise TargetsFileError(f"{origin} is no file of CRM targets.", hint=_HINT)
    try:
        listed = msgspec.convert(document, type=_TargetsFile).targets
    except msgspec.ValidationError as error:
        raise TargetsFileError(f"{origin} is no file of CRM targets: {error}.", hint=_HINT) from error
    found = CrmTargets(targets=tuple(_target(each, n, origin) for n, each in enumerate(listed, 1)))
    names = [target.name for target in found.targets]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise TargetsFileError(f"{origin} has two targets {twice}.", hint="Each needs a name of its own.")
    for target in found.targets:
        for problem in _problems(target):
            raise TargetsFileError(f"{origin}: target {target.name}: {problem}", hint=_HINT)
    return found


def _problems(target: CrmTarget) -> Iterator[str]:
    """What is wrong with one target."""
    for name in sorted(target.fields.keys() - set(UPDATE_FIELDS)):
        yield f"fields has {name}; known are {', '.join(UPDATE_FIELDS)}."
    # No CRM tells names apart by case.
    fields = [field.casefold() for field in target.fields.values()]
    for name, field in target.fields.items():
        if not field.strip() or fields.count(field.casefold()) > 1:
            yield f"fields: {name} names no field of its own: {field!r}."
    for name in filter(_SECRET.search, target.options):
        yield f"options has {name}: a secret belongs in a file of the folder in credentials, never here."
    if target.kind == "table":
        for name in ("url", "credentials", "object", "fields", "options", "outcomes"):
            if getattr(target, name):
                yield f"a table takes no {name}; it is crm_sync/{target.name} of the lake."
        return
    for name in ("url", "credentials", "object", "fields"):
        if not getattr(target, name):
            yield f"{name} is missing."
    wrong = list(_url_problems(target.url))
    yield from wrong or mapping_problems(target)


def _url_problems(text: str) -> Iterator[str]:
    try:
        url = urlsplit(text)
    except ValueError:
        yield "url is none."
        return
    if url.username or url.password:
        yield "url has a user or password: a secret belongs in a file of the folder in credentials."
    if url.scheme not in {"http", "https"} or not url.hostname:
        yield "url is none: it begins with https://."


def _target(given: dict[str, Any], number: int, origin: str) -> CrmTarget:
    name = given.get("name", f"number {number}")
    try:
        return msgspec.convert(given, type=CrmTarget)
    except msgspec.ValidationError as error:
        webhook = given.get("kind") == "webhook"
        hint = "Webhook endpoints are not in this file: leadscore crm endpoints add NAME URL."
        raise TargetsFileError(
            f"{origin}: target {name}: {error}.", hint=hint if webhook else _HINT
        ) from error

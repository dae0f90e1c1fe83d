"""Reading a RetrainPolicy from a file: the custom resource itself, or its `spec` alone."""

from __future__ import annotations

from pathlib import Path

import msgspec

from leadscore.documents import MAX_BYTES, read_yaml
from leadscore.errors import BadInputError, NotFoundError
from leadscore.files import read_file
from leadscore.policy.spec import RetrainRules


def read_policy(path: Path) -> RetrainRules:
    """The rules of a policy file (YAML or JSON).

    Raises:
        NotFoundError: No such file.
        BadInputError: Not a RetrainPolicy.
    """
    try:
        document = read_yaml(read_file(path, MAX_BYTES), str(path))
    except FileNotFoundError as error:
        raise NotFoundError(f"There is no file {path}.") from error
    except OSError as error:
        raise BadInputError(f"{path} cannot be read: {error.strerror}.") from error
    if isinstance(document, dict) and "spec" in document:
        if document.get("kind", "RetrainPolicy") != "RetrainPolicy":
            raise BadInputError(f"{path} holds a {document['kind']}, not a RetrainPolicy.")
        document = document["spec"]
    try:
        return msgspec.convert(document, RetrainRules)
    except msgspec.ValidationError as error:
        raise BadInputError(
            f"{path} is not a RetrainPolicy: {error}.",
            hint="It needs `model` and `triggers`; see docs/drift-sequential.md.",
        ) from error

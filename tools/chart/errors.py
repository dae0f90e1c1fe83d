"""What is wrong with a values file, said to the person who edits it."""

from __future__ import annotations

from leadscore.errors import BadInputError


class ValuesError(BadInputError):
    """values.yaml cannot be documented as it is; the message names the line and the value."""

    code = "chart_values_invalid"

"""The browser's own `<input>`, which neither `dash.html` nor `dash.dcc` offers as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dash.development.base_component import Component


def attributes(given: Mapping[str, str]) -> dict[str, Any]:
    """Attributes whose names are no Python names (`aria-label`, `data-…`), for `**`."""
    return dict(given)


class FormField(Component):
    """An input of a form; `static/console.js` draws it. It keeps what is typed through a refresh.

    Args:
        given: Attributes as React names them: `type`, `name`, `defaultValue`, `required`, `maxLength`,
            `autoComplete`, `placeholder`, `readOnly`.
    """

    _children_props = []  # noqa: RUF012 (Dash writes it so)
    _base_nodes = ["children"]  # noqa: RUF012
    _namespace = "leadscore_console"
    _type = "Field"

    def __init__(self, **given: Any) -> None:
        self._prop_names = [
            "autoComplete", "defaultValue", "id", "maxLength", "name", "placeholder", "readOnly", "required",
            "type",
        ]  # fmt: skip
        self._valid_wildcard_attributes = ["aria-", "data-"]
        self.available_properties = self._prop_names
        self.available_wildcard_properties = self._valid_wildcard_attributes
        super().__init__(**given)

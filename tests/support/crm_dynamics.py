"""Dataverse's Web API as Microsoft's developer documentation describes it."""

from __future__ import annotations

import re
import uuid
from typing import Any

from tests.support.crm_server import PAUSE_SECONDS, Asked, FakeCrm, Reply

API = "/api/data/v9.2"


def row_id(number: int) -> str:
    """A GUID."""
    return str(uuid.UUID(int=(0x5A << 120) + number))


class FakeDynamics(FakeCrm):
    """Bulk operations on a standard table, metadata, queries."""

    token_path = "/tenant/oauth2/v2.0/token"
    write_path = "Microsoft.Dynamics.CRM.UpdateMultiple"
    # Whether the error of a row names it.
    names_rows = False

    def answer(self, asked: Asked) -> Reply:
        """Route."""
        assert asked.headers["OData-Version"] == asked.headers["OData-MaxVersion"] == "4.0"
        path = asked.path.removeprefix(API)
        if path == "/leads/Microsoft.Dynamics.CRM.UpdateMultiple":
            return self._update(asked.json["Targets"])
        if path == "/EntityDefinitions(LogicalName='lead')/Attributes":
            return self._attributes()
        if path == "/leads":
            return self._read(asked.query["$filter"])
        if path == "/opportunities":
            return self._opportunities(asked)
        return _error(404, "0x8006088a", "Resource not found for the segment.")

    def too_many(self) -> Reply:
        """Service protection."""
        said = "Number of requests exceeded the limit of 6000 over time window of 300 seconds."
        reply = _error(429, "0x80072322", said)
        reply.headers["Retry-After"] = str(PAUSE_SECONDS)
        return reply

    def unauthorized(self) -> Reply:
        """Without a body, as the Web API answers."""
        return Reply(401)

    def conflict(self) -> Reply:
        """A whole batch, without a name."""
        return _error(400, "0x80040265", "A plug-in refused it.")

    def rate_headers(self) -> dict[str, str]:
        """Of five minutes."""
        return {
            "x-ms-ratelimit-burst-remaining-xrm-requests": str(self.left()),
            "x-ms-ratelimit-time-remaining-xrm-requests": "1,180.25",
        }

    def _update(self, targets: list[dict[str, Any]]) -> Reply:
        keys = [each["leadid"] for each in targets]
        assert all(each["@odata.type"] == "Microsoft.Dynamics.CRM.lead" for each in targets)
        if len(targets) > 1_000:
            return _error(400, "0x8004a112", "The number of targets is larger than 1000.")
        self.writes.append(keys)
        unknown = {name for each in targets for name in each if name in self.missing_fields}
        if unknown:
            said = (
                "Error identified in Payload provided by the user for Entity :'lead': An undeclared property "
                f"'{min(unknown)}' which only has property annotations"
            )
            return _error(400, "0x80048d19", said)
        for key in keys:
            if key in self.deleted or key not in self.records:
                name = f" With Id = {key}" if self.names_rows else ""
                return _error(404, "0x80040217", f"Entity 'lead'{name} Does Not Exist")
            if key in self.refused:
                return self.conflict()
        for each in targets:
            self.put(each["leadid"], {n: v for n, v in each.items() if n not in {"leadid", "@odata.type"}})
        return Reply(204)

    def _attributes(self) -> Reply:
        types = {
            "ls_score": "Decimal", "ls_grade": "String", "ls_reasons": "Memo", "ls_prediction": "String",
            "ls_scoredat": "DateTime", "statecode": "State",
        }  # fmt: skip
        return Reply(200, {"value": [
            {"LogicalName": n, "AttributeType": t, "IsValidForUpdate": n not in self.read_only_fields}
            for n, t in types.items() if n not in self.missing_fields
        ]})  # fmt: skip

    def _read(self, condition: str) -> Reply:
        assert condition.startswith("Microsoft.Dynamics.CRM.In(PropertyName='leadid',PropertyValues=[")
        keys = re.findall(r"'([0-9a-f-]{36})'", condition)
        found = [
            {"leadid": k, **self.records[k]} for k in keys if k in self.records and k not in self.deleted
        ]
        return Reply(200, {"value": found})

    def _opportunities(self, asked: Asked) -> Reply:
        found = re.fullmatch(r"(\w+) ge (\S+)", asked.query["$filter"])
        assert found, asked.query
        assert asked.headers["Prefer"].startswith("odata.maxpagesize=")
        rows = sorted((d for d in self.deals if d[found[1]] >= found[2]), key=lambda d: d[found[1]])
        start = int(asked.query.get("$skiptoken", "0"))
        said: dict[str, Any] = {"value": rows[start : start + self.page]}
        if start + self.page < len(rows):
            link = f"{self.url}{API}/opportunities?$filter={found[0].replace(' ', '%20')}"
            said["@odata.nextLink"] = f"{link}&$skiptoken={start + self.page}"
        return Reply(200, said)


def _error(status: int, code: str, message: str) -> Reply:
    return Reply(status, {"error": {"code": code, "message": message}})

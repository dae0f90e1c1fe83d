"""HubSpot's CRM API v3 as its developer documentation describes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.crm_server import PAUSE_SECONDS, Asked, FakeCrm, Reply


class FakeHubSpot(FakeCrm):
    """Batches, properties, search."""

    token_path = "/oauth/v1/token"
    write_path = "/batch/update"
    # Whether one bad record fails the batch without a name (409), or is named in a 207.
    whole = False
    merged: dict[str, str]

    def write_credentials(self, folder: Path, secret: str = "right") -> Path:
        """The token of a private app."""
        folder.mkdir(exist_ok=True)
        (folder / "access_token").write_text(secret)
        self.tokens.add(self.secret)
        return folder

    def answer(self, asked: Asked) -> Reply:
        """Route."""
        if asked.path == "/crm/v3/objects/contacts/batch/update":
            return self._update(asked.json["inputs"])
        if asked.path == "/crm/v3/objects/contacts/batch/read":
            return self._read(asked.json)
        if asked.path == "/crm/v3/properties/contacts":
            return self._properties()
        if asked.path == "/crm/v3/objects/deals/search":
            return self._search(asked.json)
        return _error(404, "Unable to infer object type", category="VALIDATION_ERROR")

    def too_many(self) -> Reply:
        """The portal's limit of ten seconds."""
        said = {
            "status": "error", "message": "You have reached your ten_secondly_rolling limit.",
            "errorType": "RATE_LIMIT", "policyName": "TEN_SECONDLY_ROLLING",
        }  # fmt: skip
        return Reply(429, said, {"Retry-After": str(PAUSE_SECONDS)})

    def unauthorized(self) -> Reply:
        """A token that is not known."""
        said = "Authentication credentials not found."
        return _error(401, said, category="INVALID_AUTHENTICATION")

    def conflict(self) -> Reply:
        """A whole batch, without a name."""
        return _error(409, "Conflict", category="CONFLICT")

    def rate_headers(self) -> dict[str, str]:
        """Of this interval."""
        return {
            "X-HubSpot-RateLimit-Max": str(self.limit),
            "X-HubSpot-RateLimit-Remaining": str(self.left()),
            "X-HubSpot-RateLimit-Interval-Milliseconds": str(int(self.window * 1_000)),
        }

    def _update(self, inputs: list[dict[str, Any]]) -> Reply:
        keys = [each["id"] for each in inputs]
        assert all("idProperty" not in each for each in inputs)
        if len(inputs) > 100:
            return _error(400, "The maximum number of inputs is 100", category="VALIDATION_ERROR")
        self.writes.append(keys)
        if len(set(keys)) < len(keys):
            return _error(400, "Duplicate IDs found in batch input", category="VALIDATION_ERROR")
        names = {name for each in inputs for name in each["properties"]}
        for kind, bad in (
            ("PROPERTY_DOESNT_EXIST", self.missing_fields),
            ("READ_ONLY_VALUE", self.read_only_fields),
        ):
            if names & bad:
                what = f'{{"isValid":false,"error":"{kind}","name":"{min(names & bad)}"}}'
                said = f"Property values were not valid: [{what}]"
                return _error(400, said, category="VALIDATION_ERROR")
        bad_ones = [key for key in keys if key in self.refused]
        if self.whole and bad_ones:
            return self.conflict()
        merged = getattr(self, "merged", {})
        results: list[dict[str, Any]] = []
        errors: list[dict[str, Any]] = []
        for each in inputs:
            key = merged.get(each["id"], each["id"])
            if key in self.deleted or key not in self.records:
                errors.append(_named("OBJECT_NOT_FOUND", "Could not get some objects", {"ids": [key]}))
            elif key in self.refused:
                context = {"objectWriteTraceId": [each["objectWriteTraceId"]]}
                errors.append(_named("VALIDATION_ERROR", "A property was not valid", context))
            else:
                self.put(key, each["properties"])
                results.append({"id": key, "properties": dict(self.records[key]), "archived": False})
        said: dict[str, Any] = {"status": "COMPLETE", "results": results[::-1]}
        if errors:
            return Reply(207, said | {"numErrors": len(errors), "errors": errors})
        return Reply(200, said)

    def _read(self, body: dict[str, Any]) -> Reply:
        keys = [each["id"] for each in body["inputs"]]
        assert len(keys) <= 100
        found = [
            {"id": key, "properties": {n: self.records[key].get(n) for n in body["properties"]}}
            for key in keys
            if key in self.records and key not in self.deleted
        ]
        missing = [key for key in keys if key not in self.records or key in self.deleted]
        if missing:
            errors = [_named("OBJECT_NOT_FOUND", "Could not get some CONTACT objects", {"ids": missing})]
            return Reply(207, {"status": "COMPLETE", "results": found, "numErrors": 1, "errors": errors})
        return Reply(200, {"status": "COMPLETE", "results": found})

    def _properties(self) -> Reply:
        types = {
            "leadscore": "number", "leadscore_grade": "string", "leadscore_reasons": "string",
            "leadscore_prediction": "string", "leadscore_scored_at": "datetime",
            "lifecyclestage": "enumeration",
        }  # fmt: skip
        return Reply(200, {"results": [
            {"name": n, "type": t, "modificationMetadata": {"readOnlyValue": n in self.read_only_fields}}
            for n, t in types.items() if n not in self.missing_fields
        ]})  # fmt: skip

    def _search(self, body: dict[str, Any]) -> Reply:
        (condition,) = body["filterGroups"][0]["filters"]
        assert condition["operator"] == "GTE"
        name, since = condition["propertyName"], int(condition["value"])
        rows = sorted((d for d in self.deals if int(d[name]) >= since), key=lambda d: int(d[name]))
        start = int(body.get("after", "0"))
        found = rows[start : start + self.page]
        said: dict[str, Any] = {
            "total": len(rows),
            "results": [{"id": d["hs_object_id"], "properties": d} for d in found],
        }
        if start + self.page < len(rows):
            said["paging"] = {"next": {"after": str(start + self.page)}}
        return Reply(200, said)


def _named(category: str, message: str, context: dict[str, list[str]]) -> dict[str, Any]:
    return {"status": "error", "category": category, "message": message, "context": context}


def _error(status: int, message: str, *, category: str) -> Reply:
    return Reply(status, {"status": "error", "message": message, "category": category, "correlationId": "c"})

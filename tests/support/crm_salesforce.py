"""Salesforce as its REST and Bulk API 2.0 developer guides describe it."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

from tests.support.crm_server import Asked, FakeCrm, Reply

API = "/services/data/v62.0"
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


def lead_id(number: int) -> str:
    """An id of 18 characters."""
    short = f"00Q{number:012d}"
    return short + "".join(
        _ALPHABET[sum(1 << i for i, c in enumerate(short[s : s + 5]) if c.isupper())] for s in (0, 5, 10)
    )


class FakeSalesforce(FakeCrm):
    """Collections, Bulk 2.0, describe, queries."""

    token_path = "/services/oauth2/token"
    write_path = "/composite/sobjects"
    used, allowed = 0, 1_000_000
    # Entries of the answer in another order, each with its id.
    shuffled = False
    jobs: dict[str, dict[str, Any]]
    polls = 1

    def answer(self, asked: Asked) -> Reply:  # noqa: PLR0911 (a resource each)
        """Route."""
        path = asked.path.removeprefix(API)
        if asked.method == "PATCH" and path == "/composite/sobjects":
            return self._update(asked)
        if asked.method == "POST" and path == "/composite/sobjects/Lead":
            return self._read(asked)
        if path == "/sobjects/Lead/describe":
            return self._describe()
        if path == "/query":
            return self._query(asked.query["q"])
        if path.startswith("/query/"):
            return self._page(int(path.rpartition("-")[2]))
        if path.startswith("/jobs/ingest"):
            return self._bulk(asked, path.removeprefix("/jobs/ingest").strip("/").split("/"))
        return _error(404, "NOT_FOUND", "The requested resource does not exist")

    def too_many(self) -> Reply:
        """The org's requests are used."""
        return _error(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")

    def unauthorized(self) -> Reply:
        """As for any bad session."""
        return _error(401, "INVALID_SESSION_ID", "Session expired or invalid")

    def conflict(self) -> Reply:
        """A batch that cannot be read."""
        return _error(400, "JSON_PARSER_ERROR", "Unexpected character")

    def rate_headers(self) -> dict[str, str]:
        """The org's requests of 24 hours."""
        return {"Sforce-Limit-Info": f"api-usage={self.used + self.counts['requests']}/{self.allowed}"}

    def _update(self, asked: Asked) -> Reply:
        records = asked.json["records"]
        assert asked.json["allOrNone"] is False
        if len(records) > 200:
            said = "record limit reached. cannot submit more than 200 records into this call"
            return _error(400, "EXCEEDED_ID_LIMIT", said)
        self.writes.append([each["Id"] for each in records])
        unknown = {name for each in records for name in each if name in self.missing_fields}
        if unknown:
            said = f"No such column '{min(unknown)}' on sobject of type Lead"
            return _error(400, "INVALID_FIELD", said)
        found = [self._one(each) for each in records]
        if self.shuffled:
            found = [{**each, "id": r["Id"]} for each, r in zip(found, records, strict=True)][::-1]
        return Reply(200, found)

    def _one(self, record: dict[str, Any]) -> dict[str, Any]:
        assert record["attributes"] == {"type": "Lead"}
        key, values = record["Id"], {n: v for n, v in record.items() if n not in {"attributes", "Id"}}
        problem = self._problem(key, values)
        if problem:
            return {
                "success": False,
                "errors": [{"statusCode": problem[0], "message": problem[1], "fields": []}],
            }
        self.put(key, values)
        return {"id": key, "success": True, "errors": []}

    def _problem(self, key: str, values: dict[str, Any]) -> tuple[str, str] | None:
        if key in self.deleted:
            return "ENTITY_IS_DELETED", "entity is deleted"
        if key not in self.records:
            return "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id"
        if key in self.refused:
            return "FIELD_CUSTOM_VALIDATION_EXCEPTION", "A rule of this org says no."
        read_only = self.read_only_fields & values.keys()
        if read_only:
            said = f"Unable to create/update fields: {min(read_only)}. Please check the security settings"
            return "INVALID_FIELD_FOR_INSERT_UPDATE", said
        return None

    def _read(self, asked: Asked) -> Reply:
        fields = asked.json["fields"]
        found = [
            None
            if key not in self.records
            else {"Id": key, **{n: self.records[key].get(n) for n in fields if n != "Id"}}
            for key in asked.json["ids"]
        ]
        return Reply(200, found)

    def _describe(self) -> Reply:
        types = {
            "LeadScore__c": "double", "LeadScore_Grade__c": "string", "LeadScore_Reasons__c": "textarea",
            "LeadScore_Prediction__c": "string", "LeadScore_Scored_At__c": "datetime", "Company": "string",
            "IsConverted": "boolean",
        }  # fmt: skip
        return Reply(200, {"name": "Lead", "fields": [
            {"name": name, "type": kind, "updateable": name not in self.read_only_fields}
            for name, kind in types.items() if name not in self.missing_fields
        ]})  # fmt: skip

    def _query(self, query: str) -> Reply:
        found = re.fullmatch(
            r"SELECT ([\w, ]+) FROM Opportunity WHERE (\w+) >= (\S+) ORDER BY (\w+), Id", query
        )
        assert found, query
        self._rows = sorted(
            (deal for deal in self.deals if deal["SystemModstamp"][:23] >= found[3][:23]),
            key=lambda d: d["SystemModstamp"],
        )
        return self._page(0)

    def _page(self, start: int) -> Reply:
        rows = self._rows[start : start + self.page]
        said: dict[str, Any] = {"totalSize": len(self._rows), "done": True, "records": rows}
        if start + self.page < len(self._rows):
            said |= {"done": False, "nextRecordsUrl": f"{API}/query/01g-{start + self.page}"}
        return Reply(200, said)

    def _bulk(self, asked: Asked, parts: list[str]) -> Reply:
        if not hasattr(self, "jobs"):
            self.jobs = {}
        if parts == [""]:
            assert asked.json["operation"] == "update"
            job = f"750{len(self.jobs):012d}AAA"
            self.jobs[job] = {"state": "Open", "csv": "", "asked": 0, "written": [], "failed": [], "rest": []}
            return Reply(200, {"id": job, "state": "Open", "object": "Lead", "operation": "update"})
        job = self.jobs[parts[0]]
        if parts[1:] == ["batches"]:
            assert asked.headers["Content-Type"].startswith("text/csv")
            job["csv"] = asked.body.decode()
            return Reply(201)
        if asked.method == "PATCH":
            job["state"] = asked.json["state"] if job["state"] in {"Open", "UploadComplete"} else job["state"]
            return Reply(200, {"id": parts[0], "state": job["state"]})
        if not parts[1:]:
            job["asked"] += 1
            if job["state"] == "UploadComplete" and job["asked"] >= self.polls:
                self._work(job)
            return Reply(200, {"id": parts[0], "state": job["state"]})
        rows = job[
            {"successfulResults": "written", "failedResults": "failed", "unprocessedrecords": "rest"}[
                parts[1]
            ]
        ]
        return Reply(200, headers={"Content-Type": "text/csv"}, text=_csv(rows))

    def _work(self, job: dict[str, Any]) -> None:
        for row in csv.DictReader(io.StringIO(job["csv"])):
            values: dict[str, Any] = {name: value for name, value in row.items() if name != "Id"}
            problem = self._problem(row["Id"], values)
            if problem:
                job["failed"].append({"sf__Id": "", "sf__Error": f"{problem[0]}:{problem[1]}:--", **row})
            else:
                self.put(row["Id"], values)
                job["written"].append({"sf__Id": row["Id"], "sf__Created": "false", **row})
        # The guide: the order of results is not that of the upload.
        job["written"].reverse()
        job["state"] = "JobComplete"


def _csv(rows: list[dict[str, Any]]) -> str:
    out = io.StringIO()
    if rows:
        writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return out.getvalue()


def _error(status: int, code: str, message: str) -> Reply:
    return Reply(status, [{"message": message, "errorCode": code}])

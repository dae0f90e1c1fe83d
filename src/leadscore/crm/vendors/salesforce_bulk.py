"""Salesforce's Bulk API 2.0: a job of one CSV file, whose results come in an order of their own.

A job is made, given its rows, closed, and asked for until it has ended; then it says which rows were
written, which failed, and which it did not come to. The operation is `update`, never `upsert`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Final

import msgspec

from leadscore.crm.updates import ScoreUpdate
from leadscore.crm.vendors.answers import VendorRefusedError, require_ok
from leadscore.crm.vendors.protocol import WRITTEN, VendorReply, VendorRequest, Verdict
from leadscore.crm.vendors.salesforce import SALESFORCE_API, SalesforceVendor
from leadscore.crm.vendors.values import field_values, members, shown, text_of
from leadscore.errors import BadInputError

_JOBS: Final = f"{SALESFORCE_API}/jobs/ingest"
_CSV: Final = {"Accept": "text/csv"}
JOB_RESULTS: Final = ("successfulResults", "failedResults", "unprocessedrecords")
JOB_ENDED: Final = frozenset(("JobComplete", "Failed", "Aborted"))


def make_job(vendor: SalesforceVendor) -> VendorRequest:
    """Ask for a job."""
    body = {"object": vendor.object, "operation": "update", "contentType": "CSV", "lineEnding": "LF"}
    return VendorRequest("POST", _JOBS, msgspec.json.encode(body))


def upload_rows(vendor: SalesforceVendor, job: str, updates: Sequence[ScoreUpdate]) -> VendorRequest:
    """Give a job its rows. An empty cell leaves the field as it is."""
    names = ["Id", *vendor.fields.values()]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    for update in updates:
        writer.writerow({"Id": vendor.record_key(update.lead_id), **field_values(update, vendor.fields)})
    headers = {"Accept": "application/json", "Content-Type": "text/csv; charset=UTF-8"}
    return VendorRequest("PUT", f"{_JOBS}/{job}/batches", text.getvalue().encode(), headers)


def change_job(job: str, state: str) -> VendorRequest:
    """Close a job for rows (`UploadComplete`), or end it (`Aborted`)."""
    return VendorRequest("PATCH", f"{_JOBS}/{job}", msgspec.json.encode({"state": state}))


def ask_job(job: str) -> VendorRequest:
    """How a job is."""
    return VendorRequest("GET", f"{_JOBS}/{job}")


def ask_results(job: str, which: str) -> VendorRequest:
    """One of `JOB_RESULTS` of a job that has ended."""
    return VendorRequest("GET", f"{_JOBS}/{job}/{which}/", headers=_CSV)


def job_of(reply: VendorReply) -> tuple[str, str]:
    """Id and state of a job.

    Raises:
        VendorRefusedError: The answer is none.
    """
    require_ok(reply, shown(reply.body.decode("utf-8", "replace")), "take the job")
    found = members(reply.document)
    job, state = text_of(found.get("id")), text_of(found.get("state"))
    if not job.isalnum() or not state:
        raise VendorRefusedError("Salesforce's answer names no job.")
    return job, state


def verdicts_of(vendor: SalesforceVendor, results: Sequence[VendorReply]) -> dict[str, Verdict]:
    """What became of each record of a job, by its key.

    Args:
        vendor: Whose record ids they are.
        results: The answers to `ask_results`, in the order of `JOB_RESULTS`.

    Raises:
        VendorRefusedError: One of them is none.
    """
    found: dict[str, Verdict] = {}
    for which, reply in zip(JOB_RESULTS, results, strict=True):
        require_ok(reply, shown(reply.body.decode("utf-8", "replace")), "say what became of a job")
        for row in csv.DictReader(io.StringIO(reply.body.decode("utf-8", "replace"))):
            try:
                # As it was uploaded: `sf__Id` is empty for rows that failed.
                key = vendor.record_key(row.get("Id") or "")
            except BadInputError:
                continue
            if which == "successfulResults":
                found[key] = WRITTEN
            elif which == "failedResults":
                said = row.get("sf__Error") or ""
                found[key] = vendor.verdict_of({said.partition(":")[0]}, shown(said))
            else:
                found[key] = Verdict("again", "Salesforce ended the job before it came to this record.")
    return found

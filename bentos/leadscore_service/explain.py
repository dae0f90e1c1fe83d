"""`POST /explain-prediction`: why a lead gets its score, exactly (TreeSHAP) or as LIME would say it."""

from __future__ import annotations

from functools import partial
from typing import Literal

import msgspec

from leadscore.contract.lead import DecodedLead
from leadscore.contract.strict import JsonObject, parse_strict
from leadscore.contract.words import short_name
from leadscore.errors import BadInputError, MalformedBodyError
from leadscore.scoring.lime import LimeExplanation, explain_lime
from leadscore_service.engine import Engine
from leadscore_service.http import Reply, Request
from leadscore_service.media import JSON_TYPE, body_of, media_type
from leadscore_service.parameters import parse_query, whole_number
from leadscore_service.replies import Explanation

MIN_SAMPLES, MAX_SAMPLES = 50, 10_000
MAX_TOP = 10_000
MAX_SEED = (1 << 32) - 1
_encode = msgspec.json.Encoder().encode


class _Wish(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`{"lead": {…}, "method": …}`. Numbers may be written `5.0`, which JSON Schema calls an integer too."""

    lead: msgspec.Raw
    method: Literal["shap", "lime"] = "shap"
    top: float | None = None
    samples: float = 1000
    seed: float = 0


_parse_wish = msgspec.json.Decoder(_Wish).decode
_keys_of = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


async def explain_prediction(engine: Engine, request: Request) -> Reply:
    """Score a lead again (nothing is logged) and explain it."""
    media_type(request, (JSON_TYPE,))
    given = parse_query(request.query, ("method", "top", "samples", "seed"))
    settings = engine.settings
    body = await body_of(request, settings.max_lead_bytes, settings.body_timeout_s, engine.room)
    wish = _wish(body, given)
    top = len(engine.about.profile.features) if wish.top is None else int(wish.top)
    lead = engine.model.decoder.decode(bytes(wish.lead))
    request.lead_id = lead.lead_id
    if wish.method == "shap":
        return Reply(200, _encode(_shap(engine, lead, top)))
    samples, seed = int(wish.samples), int(wish.seed)
    job = partial(explain_lime, engine.model, lead.row, samples=samples, seed=seed, top=top)
    with engine.heavy:
        lime = await engine.heavy.run(job)
    return Reply(200, _encode(_explanation(engine, lead, lime=lime)))


def _wish(body: bytes, given: dict[str, str]) -> _Wish:
    """What is asked for: in the body around the lead, or else in the query (which is checked in any case)."""
    method = given.get("method", "shap")
    if method not in ("shap", "lime"):
        raise BadInputError("The parameter 'method' is neither shap nor lime.", hint="Correct it.")
    asked = _Wish(
        lead=msgspec.Raw(body),
        method="shap" if method == "shap" else "lime",
        top=whole_number(given, "top", 1, 1, MAX_TOP) if "top" in given else None,
        samples=whole_number(given, "samples", 1000, MIN_SAMPLES, MAX_SAMPLES),
        seed=whole_number(given, "seed", 0, 0, MAX_SEED),
    )
    wrapped = _wrapped(body)
    if wrapped is None:
        return asked
    for name, value, low, high in (
        ("top", 1 if wrapped.top is None else wrapped.top, 1, MAX_TOP),
        ("samples", wrapped.samples, MIN_SAMPLES, MAX_SAMPLES),
        ("seed", wrapped.seed, 0, MAX_SEED),
    ):
        if not (low <= value <= high and float(value).is_integer()):
            raise BadInputError(f"{name!r} is not a whole number from {low} to {high}.", hint="Correct it.")
    return wrapped


def _wrapped(body: bytes) -> _Wish | None:
    """The body as `{"lead": {…}, …}`.

    None if it is anything else (a bare lead, or bad: its decoder will say).
    """
    try:
        lead = _keys_of(body).get("lead")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    # No feature of a flat lead is an object, even if one is named `lead`.
    if lead is None or not bytes(lead).lstrip().startswith(b"{"):
        return None
    _refuse_duplicates(body)
    try:
        return _parse_wish(body)
    except msgspec.MsgspecError as error:
        raise MalformedBodyError(
            f"The request around the lead is not understood: {error}.",
            hint='Send {"lead": {…}, "method": "shap"|"lime", "top": n, "samples": n, "seed": n}.',
        ) from error


def _refuse_duplicates(body: bytes) -> None:
    parsed = parse_strict(body)
    if isinstance(parsed, JsonObject) and parsed.duplicates:
        raise MalformedBodyError(
            f"{short_name(parsed.duplicates[0])!r} is given twice.", hint="Give it once."
        )


def _shap(engine: Engine, lead: DecodedLead, top: int) -> Explanation:
    values = engine.model.kernel.shapley(lead.row)
    explanation = _explanation(engine, lead)
    return msgspec.structs.replace(
        explanation,
        base_margin=float(values[-1]),
        reasons=engine.model.explainer.reasons(lead.row, values, top),
    )


def _explanation(engine: Engine, lead: DecodedLead, *, lime: LimeExplanation | None = None) -> Explanation:
    score = engine.model.score_row(lead.row)
    about = engine.about
    return Explanation(
        lead_id=lead.lead_id,
        method="shap" if lime is None else "lime",
        score=score.score,
        probability=score.probability,
        grade=score.grade,
        margin=score.margin,
        base_margin=None,
        reasons=(),
        lime=lime,
        warnings=lead.warnings,
        model_name=about.name,
        model_version=about.version,
        contract_version=about.contract_version,
    )

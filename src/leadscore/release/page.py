"""The report of a replay or a shadow for people: Markdown, and one HTML file that loads nothing."""

from __future__ import annotations

from collections.abc import Sequence

from leadscore.intervals import Estimate
from leadscore.release.compare import Distribution
from leadscore.release.report import Comparison
from leadscore.reports import Html, render_html, render_markdown
from leadscore.scoring.grades import GRADES

_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 720, 220, 10, 28
NamedRows = Sequence[tuple[str, str]]


def markdown(found: Comparison) -> str:
    """Return the report as Markdown."""
    return render_markdown("comparison.md", **_contents(found))


def html(found: Comparison) -> str:
    """Return the report as one self-contained page."""
    return render_html("comparison.html", **_contents(found), histogram=_histogram(found.scores))


def _contents(found: Comparison) -> dict[str, object]:
    return {
        "title": _title(found),
        "verdict": "passed" if found.passed else "refused",
        "words": "Nothing speaks against it" if found.passed else "Refused",
        "summary": found.summary,
        "remarks": found.remarks,
        "sections": _sections(found),
        "grades": list(GRADES),
        "changes": [
            (grade, *(f"{n:,}" for n in row)) for grade, row in zip(GRADES, found.grades.matrix, strict=True)
        ],
    }


def _sections(found: Comparison) -> list[tuple[str, NamedRows]]:
    known = found.known
    order = found.order
    about = [
        ("window", f"{found.since:%Y-%m-%d %H:%M} to {found.until:%Y-%m-%d %H:%M} UTC"),
        *_of_the_kind(found),
        ("champion's logged answers given again", _share(found.reproduced)),
        ("candidate's digest", found.digest),
        ("took", f"{found.seconds:.1f} s"),
    ]
    spread = [
        ("PSI", f"{found.scores.psi:.4f}"),
        ("KS", f"{found.scores.ks:.4f}"),
        ("mean probability, champion", f"{found.scores.champion_mean:.4f}"),
        ("mean probability, candidate", f"{found.scores.candidate_mean:.4f}"),
        ("Spearman", _number(order.spearman)),
        (f"Kendall tau-b ({order.kendall_rows:,} leads)", _number(order.kendall)),
        ("top tenth in common", f"{order.top_decile_overlap:.1%}"),
        ("leads with another grade", f"{found.grades.changed:.1%}"),
        ("… a better one / a worse one", f"{found.grades.better:.1%} / {found.grades.worse:.1%}"),
    ]
    outcomes = [
        ("leads with a known outcome", f"{known.rows:,} ({known.converted:,} converted)"),
        (f"labelled among those older than {known.maturity_days:g} days", _share(known.completeness)),
        ("AUC, champion", _estimate(known.champion)),
        ("AUC, candidate", _estimate(known.candidate)),
        ("difference (DeLong, paired)", _estimate(known.difference)),
    ]
    speed = [
        ("champion", f"{found.latency.champion:.1f} µs"),
        ("candidate", f"{found.latency.candidate:.1f} µs"),
    ]
    return [
        ("What was compared", about),
        ("What changes", spread),
        ("Outcomes known already", outcomes),
        ("Time per lead on this machine", speed),
    ]


def _title(found: Comparison) -> str:
    how = "Replay" if found.kind == "replay" else "Shadow"
    return f"{how} of {found.ref} against {found.model}/{found.champion}"


def _of_the_kind(found: Comparison) -> NamedRows:
    if found.kind == "replay":
        return [("requests", f"{found.rows:,}"), ("left out (other contract)", f"{found.left_out:,}")]
    return [
        ("leads of mirrored requests that both scored", f"{found.rows:,}"),
        ("left out (answered by another version)", f"{found.left_out:,}"),
        ("scored by the shadow, answered to nobody", f"{found.unpaired:,}"),
        ("share of the copies that the shadow scored", _share(found.copied)),
        ("shadow's logged answers given again", _share(found.shadow_reproduced)),
    ]


def _histogram(scores: Distribution) -> Html:
    """Two histograms of probabilities as one SVG; heights are shares of all leads."""
    total = max(sum(scores.champion), 1)
    most = max(*scores.champion, *scores.candidate, 1) / total
    width = (_WIDTH - 2 * _LEFT) / len(scores.champion)
    floor = _HEIGHT - _BOTTOM
    bars: list[str] = []
    for counts, colour, shift in ((scores.champion, "#8c959f", 0.08), (scores.candidate, "#0969da", 0.5)):
        for place, count in enumerate(counts):
            height = (floor - 20) * count / total / most
            x = _LEFT + (place + shift) * width
            bars.append(
                f'<rect x="{x:.1f}" y="{floor - height:.1f}" width="{0.42 * width:.1f}" height="{height:.1f}"'
                f' fill="{colour}"/>'
            )
    labels = "".join(
        f'<text x="{_LEFT + edge * (_WIDTH - 2 * _LEFT):.1f}" y="{floor + 16}" '
        'font-size="11" text-anchor="middle">'
        f"{edge:.1f}</text>"
        for edge in scores.edges[::4]
    )
    legend = (
        f'<rect x="{_WIDTH - 220}" y="4" width="10" height="10" fill="#8c959f"/>'
        f'<text x="{_WIDTH - 205}" y="13" font-size="12">champion</text>'
        f'<rect x="{_WIDTH - 120}" y="4" width="10" height="10" fill="#0969da"/>'
        f'<text x="{_WIDTH - 105}" y="13" font-size="12">candidate</text>'
    )
    return Html(
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="Histogram of probabilities">'
        f'{"".join(bars)}<line x1="{_LEFT}" x2="{_WIDTH - _LEFT}" y1="{floor}" '
        f'y2="{floor}" stroke="#57606a"/>'
        f"{labels}{legend}</svg>"
    )


def _estimate(found: Estimate | None) -> str:
    return "–" if found is None else f"{found.value:.4f} ({found.low:.4f} to {found.high:.4f})"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _share(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1%}"

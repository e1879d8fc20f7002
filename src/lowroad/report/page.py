"""Writing the report: one HTML page that needs nothing beside itself, and the figures as files."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Any

import jinja2
import plotly.offline
from markupsafe import Markup, escape

from lowroad.analysis import Verdict
from lowroad.analysis.claims import PAPER_CLAIMS
from lowroad.report import page_figures as figures
from lowroad.report import paper, tables, words
from lowroad.report.barrier_figures import course_figure, tree_figure
from lowroad.report.files import save_figures
from lowroad.report.measured_figures import plane_figure, sharpness_figure
from lowroad.report.summary import Summary, summarize
from lowroad.report.views import Charts
from lowroad.study.results import StudyResults
from lowroad.study.store import write_atomically
from lowroad.study.study_file import to_toml

__all__ = ["write_report"]


def write_report(results: StudyResults, directory: Path, style: str = "screen") -> Path:
    """Write the report of a study and return the page's path.

    Writes `report.html`, `claims.json` and the figures as PDF and PNG in `figures/`. Each file
    appears as a whole or not at all. The page holds everything it shows and works without a
    network. Whatever the study has not computed yet is named in the page, not left out silently.

    Args:
        results: What the study has stored; it may be incomplete or empty.
        directory: Where to write; it is made if it is missing.
        style: How the figures' files look: "screen", or "paper" for an article.

    Returns:
        The path of `report.html`.

    Raises:
        OSError: If a file cannot be written.
        ValueError: For another style.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)  # before the work: what cannot be written fails
    summary = summarize(results)
    save_figures(summary, directory / "figures", style)
    claims = json.dumps(_plain([asdict(claim) for claim in summary.claims]), indent=1)
    write_atomically(directory / "claims.json", claims.encode())
    page = directory / "report.html"
    write_atomically(page, _render(summary).encode())
    return page


def _plain(value: Any) -> Any:
    """Something that JSON has a form for; numbers that are not finite become null."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _render(summary: Summary) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("lowroad.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["prose"] = _prose
    charts = Charts()
    results, config = summary.results, summary.results.config
    first, second = paper.PAIRS
    tally = Counter(claim.verdict for claim in summary.claims[:PAPER_CLAIMS])
    sections = {
        "curves": figures.curve_figure(summary, charts),
        "surface": figures.surface_figure(summary, charts),
        "heights": [figures.height_figure(summary, charts, side) for side in ("train", "test")],
        "steps": [course_figure(summary, charts, side) for side in ("train", "test")],
        "trees": [tree_figure(summary, charts, side) for side in ("train", "test")],
        "planes": plane_figure(summary, charts),
        "sharpness": sharpness_figure(summary, charts),
        "distances": [
            figures.distance_figure(summary, charts, pair, number)
            for pair, number in ((first, "5"), (second, "S3"))
        ],
        "projections": [
            draw(summary, charts, pair, number)
            for pair, number in ((first, "6"), (second, "S4"))
            for draw in (figures.projection_figure, figures.kernel_figure)
        ],
    }
    return environment.get_template("report.html.j2").render(
        **sections,
        config=config,
        networks=words.listing(config.networks),
        facts=_facts(summary),
        answers=words.short_answers(summary),
        tally={verdict.value: tally[verdict] for verdict in Verdict},
        own_claims=summary.claims[PAPER_CLAIMS:],
        paper_claims=PAPER_CLAIMS,
        claims=[
            {
                "result": claim,
                "measured": words.claim_summary(claim),
                "table": tables.evidence_table(summary, claim.number),
            }
            for claim in summary.claims
        ],
        losses=tables.losses_table(summary),
        accuracies=tables.accuracy_table(summary),
        weights=tables.weights_table(summary),
        seeds=tables.seeds_table(summary),
        missing=results.missing,
        missing_parts=words.missing_parts(summary),
        damaged=results.damaged,
        provenance=results.provenance,
        computing_time=words.duration(results.seconds),
        settings=to_toml(config),
        paper=paper.REFERENCE,
        # `</script>` cannot stand in the library: it would end the element. It does not.
        plotly=plotly.offline.get_plotlyjs(),
        charts=charts.as_json(),
    )


def _prose(text: str) -> Markup:
    """Text whose names and equations are not broken at the end of a line."""
    kept = re.sub(r" (=|×) ", "\u00a0\\1\u00a0", text)
    whole = r'<span class="whole">\g<0></span>'
    return Markup(re.sub(r"L-BFGS(-GSS)?|−?\d\.\d\de[-+]\d\d", whole, str(escape(kept))))


def _facts(summary: Summary) -> list[tuple[str, str]]:
    """What was run, as names and values."""
    config = summary.results.config
    data = config.data
    return [
        ("Networks", f"{words.listing(config.networks)}, {config.activation}"),
        ("Data", f"MNIST, {data.train:,} training and {data.test:,} test images"),
        ("Training", words.training_settings(summary)),
        ("Runs", words.runs_trained(summary)),
        ("Paths", words.paths_behind(summary)),
        ("Path budget", words.budget(summary)),
    ]

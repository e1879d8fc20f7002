"""Write a finished study's numbers beside the paper's, as a page and as small tables.

    lowroad run studies/desk.toml --set 'networks=["FCP"]' --out runs/desk
    python benchmarks/reproduction.py runs/desk docs/reproduction

Writes `runs.csv`, `paths.csv` and `sharpness.csv` (a row for each run, path, point), `claims.json`
(every claim with its evidence) and `README.md`: the report's tables and figures in Markdown, and
how the numbers were made.
"""

from __future__ import annotations

import argparse
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from lowroad.report import tables, words
from lowroad.report.measured_figures import sharpness_figure
from lowroad.paper.numbers import PAIRS
from lowroad.report.summary import LANDSCAPES, Summary, summarize
from lowroad.report.views import Charts, TableView
from lowroad.study.export import export_csv
from lowroad.study.results import load_results
from lowroad.study.store import write_atomically
from lowroad.study.study_file import to_toml


def markdown(table: TableView) -> str:
    """Return the table, its caption first and its groups' headings in a column of their own."""
    headings = any(group.heading for group in table.groups)
    header = ["", *table.header] if headings else list(table.header)
    rows = [
        [group.heading, *row] if headings else list(row)
        for group in table.groups
        for row in group.rows
    ]
    lines = [header, ["---"] * len(header), *rows]
    return f"{table.caption}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)


def picture(name: str, text: str) -> str:
    """Return the place of one of the report's figures."""
    return f"![{text}]({name}.png)"


def parts(summary: Summary) -> Iterator[str]:
    """Yield the page's parts."""
    config, results = summary.results.config, summary.results
    yield f"# {words.listing(config.networks)}: measured beside the paper"
    yield (
        f"{len(results.trainings)} training runs, {len(results.paths)} paths and the sharpness of "
        f"{len(results.sharpness)} points, {results.seconds / 3600:.1f} hours of one core; "
        f"{results.missing} tasks missing. All rows are in the CSV files, the claims in "
        "`claims.json`. The settings, from which `lowroad run` makes the study again:"
    )
    yield f"```toml\n{to_toml(config).strip()}\n```"
    yield f"## Losses (Table 1)\n\n{markdown(tables.losses_table(summary))}"
    yield markdown(tables.accuracy_table(summary))
    yield f"## Weights (Table S1)\n\n{markdown(tables.weights_table(summary))}"
    for side, number in zip(LANDSCAPES, ("4", "S2"), strict=True):
        yield f"## Paths on the {side} landscape (Figure {number})"
        yield picture(f"figure-{number}-heights-{side}", f"Path heights on the {side} landscape")
        yield markdown(tables.height_table(summary, side))
        yield markdown(tables.step_table(summary, side))
        yield markdown(tables.tree_table(summary, side))
    for pair, (distances, projections) in zip(PAIRS, (("5", "6"), ("S3", "S4")), strict=True):
        yield f"## Distances and kernel PCA (Figures {distances} and {projections})"
        yield picture(f"figure-{distances}-distances", "Distances from the common origin")
        yield markdown(tables.distance_table(summary, pair))
        yield picture(f"figure-{projections}-kernel-pca", "RBF kernel PCA")
        yield markdown(tables.area_table(summary, pair))
    if sharpness := sharpness_figure(summary, Charts()):
        yield "## Sharpness of the minima"
        yield picture("sharpness", "Largest eigenvalues and traces")
        yield "\n\n".join(sharpness.caption)
        yield markdown(tables.sharpness_table(summary))
    yield "## Claims"
    for claim in summary.claims:
        yield (
            f"### {claim.number}. {claim.statement}\n\n"
            f"**{claim.verdict.value}**: {words.claim_summary(claim)}"
        )
        if claim.evidence:
            yield markdown(tables.evidence_table(summary, claim.number))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path, help="the directory of a study that has its report")
    parser.add_argument("out", type=Path, help="the folder to write")
    arguments = parser.parse_args()
    results = load_results(arguments.study)
    page = "\n\n".join(parts(summarize(results))) + "\n"
    for path in export_csv(results, arguments.out):
        if path.read_text().count("\n") == 1:  # the header alone: nothing of it was measured
            path.unlink()
    shutil.copyfile(arguments.study / "claims.json", arguments.out / "claims.json")
    for name in re.findall(r"\]\((.+\.png)\)", page):
        shutil.copyfile(arguments.study / "figures" / name, arguments.out / name)
    write_atomically(arguments.out / "README.md", page.encode())
    print(f"Written: {arguments.out / 'README.md'}")


if __name__ == "__main__":
    main()

"""The claims of Yu & Morozov 2026 on its four networks, and one of ours, as questions with answers.

They are asked of studies whose problems are named as in the paper, whose optimizers are `sgd` and
`lbfgs`, and which select by lowest training and by lowest test loss.
"""

from __future__ import annotations

from collections.abc import Iterable

from lowroad.analysis.claims import Claim, Claims, Expectation, Published
from lowroad.analysis.kernel_pca import KERNELS
from lowroad.analysis.questions import MEDIUM_DELTA, SIGNIFICANCE, Finding
from lowroad.paper.numbers import LOSSES, REFERENCE, WEIGHTS
from lowroad.paper.surface import SURFACE

__all__ = ["claims"]

NETWORKS = ("FCP", "LeNet", "Autoencoder", "LSTM")
SPLITS = ("train", "test")
LABELS = {
    "sgd/train": "SGD train",
    "sgd/test": "SGD test",
    "lbfgs/train": "BFGS train",
    "lbfgs/test": "BFGS test",
}
RANKS_RULE = (
    f"Cliff’s δ with its bootstrap interval and a Mann–Whitney test, p < {SIGNIFICANCE}; refuted "
    f"where the interval excludes δ ≥ {MEDIUM_DELTA}"
)
PATHS_RULE = (
    f"{RANKS_RULE}; the bootstrap draws runs, not pairs; where the training and the test weights "
    "of all runs are the same points, they are compared once"
)
AREA_RULE = (
    "The area under the ROC curve of the first component, with its bootstrap interval, is at least "
    "0.9"
)
STAGES = {
    "straight lines": "height_lines",
    "a quarter of the steps": "height_quarter",
    "all steps": "height_end",
}


def _in(networks: Iterable[str]) -> dict[str, bool]:
    """Where an answer is expected, and where its contrary is."""
    given = tuple(networks)
    return {name: name in given for name in NETWORKS}


EVERYWHERE = _in(NETWORKS)
NOT_IN_AUTOENCODER = _in(["FCP", "LeNet", "LSTM"])


def _higher(text: str, question: str, first: str, second: str, part: str = "",
            problems: dict[str, bool] = EVERYWHERE) -> Expectation:  # fmt: skip
    """The first set is the higher one."""
    return Expectation(text, question, first, second, Finding.SECOND_LOWER, problems, part)


def _bfgs_paths_above(question: str, kind: str, split: str, stage: str = "") -> Expectation:
    text = f"BFGS {kind} paths above SGD {kind} paths, {split} landscape{stage}"
    first, second = f"lbfgs/{kind}", f"sgd/{kind}"
    return _higher(text, question, first, second, split, NOT_IN_AUTOENCODER)


def _converged(name: str, split: str) -> Expectation:
    text = f"last half of the steps lowers {LABELS[name]} paths by less than 5%, {split} landscape"
    # paths that still fall contradict nothing: what they lead to is not known yet
    return Expectation(
        text, "paths_converged", name, "", Finding.YES, EVERYWHERE, split, refutable=False
    )


def _separated(kernel: str, second: str, problems: dict[str, bool]) -> Expectation:
    shown = "RBF" if kernel == "rbf" else kernel
    text = f"{shown} kernel separates SGD test from {LABELS[second]}"
    return Expectation(text, "kernel", "sgd/test", second, Finding.YES, problems, kernel)


_CLAIMS = (
    Claim(
        1, "L-BFGS-GSS reaches a lower training loss than SGD in all four networks.", RANKS_RULE,
        (_higher("training loss of SGD above L-BFGS", "training_value", "sgd/train",
                 "lbfgs/train"),),
    ),
    Claim(
        2, "The test losses of both optimizers are comparable.",
        "The ratio of the mean test losses, with its bootstrap interval, lies within a factor of "
        "3; p of two one-sided Mann–Whitney tests, the larger",
        (Expectation("mean test loss, L-BFGS / SGD, within a factor of 3", "comparable",
                     "lbfgs/test", "sgd/test", Finding.YES, EVERYWHERE),),
    ),
    Claim(
        3, "The L-BFGS test loss rises steeply after its minimum, except in the autoencoder.",
        "The median over runs of last test loss / lowest test loss, with its bootstrap interval, "
        "is at least 1.5; six runs are needed; p of Wilcoxon’s signed-rank test against 1.5",
        (Expectation("L-BFGS test loss at the end over its minimum, at least 1.5", "steep_rise",
                     "lbfgs/test", "", Finding.YES, NOT_IN_AUTOENCODER),),
    ),
    Claim(
        4, "Barriers are lower for SGD than for BFGS on both landscapes, except in the "
        "autoencoder.", PATHS_RULE,
        tuple(_bfgs_paths_above("path_height", kind, split) for split in SPLITS for kind in SPLITS),
    ),
    Claim(
        5, "BFGS train barriers exceed BFGS test barriers only in FCP and LSTM.", PATHS_RULE,
        (_higher("BFGS train paths above BFGS test paths, train landscape", "path_height",
                 "lbfgs/train", "lbfgs/test", "train", _in(["FCP", "LSTM"])),),
    ),
    Claim(
        6, "BFGS weight vectors are longer than SGD’s.", RANKS_RULE,
        (_higher("BFGS train vectors farther from the common origin than SGD test vectors",
                 "distance", "lbfgs/train", "sgd/test"),),
    ),
    Claim(
        7, "The distance of the two centroids is small against the spread of the vectors.",
        "The separation of the centroids, corrected for the noise of few runs, with its jackknife "
        "interval, is below 0.5 of the vectors’ root-mean-square distance from their centroid; six "
        "starts are needed; p of Wilcoxon’s signed-rank test of the jackknife’s pseudovalues",
        (Expectation("separation of the SGD test and BFGS train centroids below half the spread",
                     "centroids", "sgd/test", "lbfgs/train", Finding.NO, EVERYWHERE),),
    ),
    Claim(
        8, "RBF kernel PCA separates SGD test from BFGS train vectors along its first component; "
        "other kernels do not.", AREA_RULE,
        tuple(_separated(kernel, "lbfgs/train", EVERYWHERE if kernel == "rbf" else _in(()))
              for kernel in KERNELS),
    ),
    Claim(
        9, "Between SGD test and BFGS test vectors the separation nearly vanishes for FCP and "
        "LeNet and persists for the autoencoder and the LSTM.", AREA_RULE,
        (_separated("rbf", "lbfgs/test", _in(["Autoencoder", "LSTM"])),),
    ),
    Claim(
        10, "The difference of claim 4 is there however long paths are optimized: on the straight "
        "lines, early, and when the paths have converged.",
        f"{PATHS_RULE}. Compared are the lowest full-landscape heights up to a step. Converged: "
        "from the last measurement within half of the steps on, the median path of a weight set "
        "fell by less than 5%, p of Wilcoxon’s signed-rank test; while paths still fall, or were "
        "not measured on the way, the claim stays open",
        tuple(
            each
            for split in SPLITS
            for kind in SPLITS
            for each in (
                *(_bfgs_paths_above(question, kind, split, f", {stage}")
                  for stage, question in STAGES.items()),
                _converged(f"lbfgs/{kind}", split),
                _converged(f"sgd/{kind}", split),
            )
        ),
        published=False,
    ),
)  # fmt: skip

claims = Claims(
    _CLAIMS,
    Published(
        f"{REFERENCE.authors} {REFERENCE.year}, {REFERENCE.title}",
        REFERENCE.url,
        LOSSES,
        {
            problem: {name: (each.mean, each.deviation) for name, each in sets.items()}
            for problem, sets in WEIGHTS.items()
        },
    ),
    figures=(SURFACE,),
)

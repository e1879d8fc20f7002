"""The sections of a study file, as frozen settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, model_validator

LABEL = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Label = Annotated[str, Field(max_length=60, pattern=LABEL)]
Plain = None | bool | int | float | str | list[Any] | dict[str, Any]


def plain_value(value: Any, place: str = "") -> Any:
    """Return a value of a study file as plain data that JSON can hold.

    Raises:
        ValueError: for dates, times and numbers that are not finite or have over 300 digits.
    """
    if isinstance(value, Mapping):
        return {str(key): plain_value(item, f"{place}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_value(item, place) for item in value]
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int) and abs(value) < 10**300:
        return value
    if isinstance(value, float) and abs(value) < float("inf"):
        return value
    raise ValueError(
        "expected text, a finite number, true, false, a list or a table, got "
        f"{type(value).__name__}"
    )


class Settings(BaseModel):
    """Base of all settings: frozen, without unknown keys, without silent conversions."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, populate_by_name=True
    )


class OpenSettings(Settings):
    """Settings that name a function or a class, with its own settings beside."""

    model_config = ConfigDict(extra="allow")

    @model_validator(mode="after")
    def _refuse_dates(self) -> OpenSettings:
        plain_value(self.model_extra)
        return self

    @property
    def own(self) -> dict[str, Any]:
        """The settings of what is named, by name."""
        return plain_value(self.model_extra)


class MethodSettings(OpenSettings):
    """Settings of an optimizer or a path finder: numbers that single precision can hold."""

    @model_validator(mode="after")
    def _refuse_extremes(self) -> MethodSettings:
        for name, value in (self.model_extra or {}).items():
            for number in _numbers(value):
                if number != 0 and not 1e-30 <= abs(number) <= 1e30:
                    raise ValueError(f"{name}: expected 0 or a number from 1e-30 to 1e30 in size")
        return self


def _numbers(value: Any) -> Iterator[float]:
    """The numbers in a value, however deep."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _numbers(each)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


class OptimizerSettings(MethodSettings):
    """One optimizer of a study.

    `method` is "sgd", "lbfgs", the import path of a class with the interface of
    torch.optim.Optimizer ("torch.optim.AdamW"), a function ("module:function"), or a name that an
    installed package registers. The method's settings stand beside it; a value of the form
    `{ grid = [0.01, 0.1] }` is chosen among those listed by the runs of the first
    `train.grid_seeds` seeds.
    """

    method: Annotated[str, Field(min_length=1, max_length=300)]
    label: Annotated[str, Field(min_length=1, max_length=60)] | None = None
    version: str | None = None


class CheckpointSettings(Settings):
    """Solutions that exist already, as files; no training.

    `files` are one or more patterns relative to the study file's folder, `key` says under which key
    of a file the weights are.
    """

    problem: Label
    files: str | Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
    key: str | None = None
    label: Annotated[str, Field(min_length=1, max_length=60)] | None = None


class TrainSettings(Settings):
    """Training runs of each problem and optimizer, and how many of them are kept.

    `selections` are the points of a run that become weight sets: those of lowest "train" and "test"
    value (of the "validation" value instead of the test's, where the problem has such a landscape)
    and the "last" one. `optimizers` are those that a problem is trained with; all when not given.
    Without `keep` six runs are kept, or all where there are fewer.
    """

    seeds: int = Field(default=10, ge=1, le=100_000)
    keep: int | None = Field(default=None, ge=1, le=100_000)
    grid_seeds: int = Field(default=3, ge=1, le=100_000)
    selections: Annotated[
        tuple[Literal["train", "test", "last"], ...], Field(strict=False, min_length=1)
    ] = ("train", "test")
    optimizers: Annotated[tuple[Label, ...], Field(strict=False)] | None = None

    @property
    def kept(self) -> int:
        """How many runs are kept."""
        return min(6, self.seeds) if self.keep is None else self.keep


class FinderSettings(MethodSettings):
    """A path finder by its registered name, with its own settings beside."""

    finder: str


class PathSettings(MethodSettings):
    """Paths between random pairs of kept runs, on each split's landscape.

    `pairs` of each weight set (all of them where there are fewer) are connected unless
    `within = false`; `between` lists pairs of optimizers (paired like with like) or of weight sets
    ("sgd/train"). `finders` are further path finders for the same pairs. The settings of `finder`
    stand beside. `align` applies the problem's alignment to each path's second end.
    """

    finder: str = "fourier"
    pairs: int = Field(default=6, ge=0, le=1_000_000)
    within: bool = True
    between: Annotated[
        tuple[Annotated[tuple[str, str], Field(strict=False)], ...], Field(strict=False)
    ] = ()
    splits: Annotated[tuple[Literal["train", "test"], ...], Field(strict=False, min_length=1)] = (
        "train",
        "test",
    )
    align: bool = False
    finders: dict[Label, FinderSettings] = {}


class PlaneSettings(Settings):
    """Values on the planes through two minima and the peak of the path between them.

    `pairs` of each weight set's paths on the training landscape get one; none without it. The
    values are those of the first `samples` training samples on a grid of `resolution` by
    `resolution` points.
    """

    pairs: int = Field(default=0, ge=0, le=1_000_000)
    resolution: int = Field(default=21, ge=2, le=1001)
    samples: Count = 1000


class SharpnessSettings(Settings):
    """Curvature of the training landscape at kept minima.

    The `runs` of lowest training value of each source are measured, at each of their points. The
    Hessian is that of the first `samples` training samples; `vectors` random vectors estimate its
    trace.
    """

    runs: int = Field(default=0, ge=0, le=100_000)
    samples: Count = 2000
    eigenvalues: int = Field(default=5, ge=1, le=100)
    vectors: int = Field(default=20, ge=2, le=100_000)


class MetricSettings(Settings):
    """The problem's metrics at all kept solutions, and along paths where that is asked for.

    `gradient_norm` measures |∇L| of the training landscape at the kept solutions.
    """

    solutions: bool = True
    along_paths: bool = False
    gradient_norm: bool = False


def _gamma(value: Any) -> float | str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value in ("1/D", "median") or (number and 0 < value <= 1e100):
        return value if isinstance(value, str) else float(value)
    raise ValueError('expected "1/D", "median" or a positive number up to 1e100')


class AnalysisSettings(Settings):
    """Kernel PCA's width: "median" (the median heuristic), "1/D" or a number."""

    gamma: Annotated[float | str, PlainValidator(_gamma)] = "median"


class ReportSettings(Settings):
    """What the report shows in detail.

    `pairs` are the pairs of optimizers or weight sets that get figures of their own; `claims` is
    the import path of published claims and numbers to compare with ("lowroad.paper:claims").
    """

    pairs: Annotated[
        tuple[Annotated[tuple[str, str], Field(strict=False)], ...], Field(strict=False)
    ] = ()
    claims: str | None = None


SECTIONS = ("train", "paths", "planes", "sharpness", "metrics", "optimizers")
"""Tables of a study that can differ for one problem, under the problem's own table."""


class ProblemSettings(OpenSettings):
    """A problem: the function that makes it, its options, and sections that differ for it.

    `from` is "module:function" or a name that an installed package registers; `version` replaces
    the digest of its source in the records' hashes.
    """

    from_: Annotated[str, Field(alias="from", min_length=1, max_length=300)]
    version: str | None = None

    @property
    def options(self) -> dict[str, Any]:
        """The function's keyword options."""
        return {key: value for key, value in self.own.items() if key not in SECTIONS}

    @property
    def sections(self) -> dict[str, Any]:
        """The study's sections that differ for this problem."""
        return {key: value for key, value in self.own.items() if key in SECTIONS}

"""A study's configuration: frozen settings with the paper's numbers as defaults.

Every setting has the paper's number as its default (Yu & Morozov 2026, Sections 4 and S1), so a
study file says only what differs. A table ``[network.NAME]`` overrides the settings of a network
in ``train``, ``paths``, ``planes`` and ``sharpness``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, model_validator

NetworkName = Literal["FCP", "LeNet", "Autoencoder", "LSTM"]
NETWORKS: tuple[str, ...] = get_args(NetworkName)

Count = Annotated[int, Field(ge=1, le=1_000_000)]
Positive = Annotated[float, Field(gt=0)]


class Settings(BaseModel):
    """Base of all settings: frozen, without unknown keys, without silent conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def _balanced(most: int, everything: int) -> AfterValidator:
    def check(number: int) -> int:
        if most < number < everything:
            raise ValueError(
                f"expected at most {most}, or all {everything}: between them no part has "
                "equally many images of every class"
            )
        return number

    return AfterValidator(check)


class DataSettings(Settings):
    """Numbers of training and test images; fewer than all means a class-balanced part.

    The rarest digit has 5,421 training and 892 test images.
    """

    train: Annotated[int, Field(ge=10, le=60_000), _balanced(54_210, 60_000)] = 60_000
    test: Annotated[int, Field(ge=10, le=10_000), _balanced(8_920, 10_000)] = 10_000


class SgdSettings(Settings):
    """Plain stochastic gradient descent."""

    learning_rate: Positive = 0.1
    epochs: Count = 80
    batch_size: Count = 64


class LbfgsSettings(Settings):
    """L-BFGS with the golden-section line search.

    ``evaluations`` is the line search's budget of losses, ``first_step`` its first trial. A run
    ends before ``iterations`` where no component of the gradient is above 1e-9 or no lower point
    is found along it: on few images, long before the thousandth.
    """

    iterations: Count = 1000
    history: Count = 10
    evaluations: int = Field(default=6, ge=1, le=1000)
    first_step: Positive = 0.2


class TrainSettings(Settings):
    """Training runs of each network and optimizer, and how many of them are kept."""

    seeds: int = Field(default=75, ge=2, le=100_000)
    keep: int = Field(default=48, ge=2, le=100_000)
    sgd: SgdSettings = SgdSettings()
    lbfgs: LbfgsSettings = LbfgsSettings()


class PathSettings(Settings):
    """Paths between random pairs of kept runs, in each weight set and on each landscape.

    Without ``batch_size`` every step uses all images.
    """

    pairs: Count = 48
    points: int = Field(default=51, ge=3, le=100_001)
    terms: int = Field(default=10, ge=1, le=10_000)
    smoothness: float = Field(default=0.01, ge=0)
    steps: Count = 100
    learning_rate: Positive = 1e-3
    batch_size: Count | None = None


class PlaneSettings(Settings):
    """Heights on the planes through two minima and the peak of the path between them.

    ``pairs`` of each weight set's paths on the training landscape get one, the first of the plan;
    none without it. The heights are those of the first ``images`` training images on a grid of
    ``resolution`` by ``resolution`` points.
    """

    pairs: int = Field(default=0, ge=0, le=1_000_000)
    resolution: int = Field(default=21, ge=2, le=1001)
    images: Count = 1000


class SharpnessSettings(Settings):
    """Curvature of the training loss at the kept minima: needs the extra ``hessian``.

    The ``runs`` of lowest training loss of each optimizer are measured, at both of their points;
    none without it. The Hessian is that of the first ``images`` training images. ``samples``
    random vectors estimate its trace.
    """

    runs: int = Field(default=0, ge=0, le=100_000)
    images: Count = 2000
    eigenvalues: int = Field(default=5, ge=1, le=100)
    samples: int = Field(default=20, ge=2, le=100_000)


def _gamma(value: Any) -> float | str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value in ("1/D", "median") or (number and 0 < value < float("inf")):
        return value if isinstance(value, str) else float(value)
    raise ValueError('expected "1/D", "median" or a positive number')


class AnalysisSettings(Settings):
    """Kernel PCA's width: ``"median"`` (the median heuristic), ``"1/D"`` or a number.

    The paper's own was lost from its text. With 1/D the kernel is nearly linear on vectors of this
    length, and separates nothing; the report shows both.
    """

    gamma: Annotated[float | str, PlainValidator(_gamma)] = "median"


class NetworkSettings(Settings):
    """What holds for one network: the study's settings with its overrides."""

    train: TrainSettings = TrainSettings()
    paths: PathSettings = PathSettings()
    planes: PlaneSettings = PlaneSettings()
    sharpness: SharpnessSettings = SharpnessSettings()


class StudyConfig(Settings):
    """A whole study.

    >>> overrides = {"LSTM": {"train": {"seeds": 60}}}
    >>> config = StudyConfig.model_validate({"name": "tiny", "network": overrides})
    >>> config.settings("LSTM").train.seeds, config.settings("FCP").train.seeds
    (60, 75)
    """

    name: str = Field(max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    seed: int = Field(default=0, ge=0, lt=2**63)
    networks: Annotated[tuple[NetworkName, ...], Field(strict=False, min_length=1)] = get_args(
        NetworkName
    )
    activation: Literal["softplus", "relu"] = "softplus"
    data: DataSettings = DataSettings()
    train: TrainSettings = TrainSettings()
    paths: PathSettings = PathSettings()
    planes: PlaneSettings = PlaneSettings()
    sharpness: SharpnessSettings = SharpnessSettings()
    analysis: AnalysisSettings = AnalysisSettings()
    network: dict[NetworkName, NetworkSettings] = {}

    @model_validator(mode="before")
    @classmethod
    def _complete_overrides(cls, raw: Any) -> Any:
        """Fill each network's table with the study's own settings, so that it stands alone."""
        if not isinstance(raw, Mapping) or not isinstance(raw.get("network"), Mapping):
            return raw
        base = {key: raw[key] for key in NetworkSettings.model_fields if key in raw}
        tables = {
            name: _merge(base, table) if isinstance(table, Mapping) else table
            for name, table in raw["network"].items()
            if table != {} or name not in NETWORKS
        }
        return {**raw, "network": tables}

    @model_validator(mode="after")
    def _refuse_conflicts(self) -> StudyConfig:
        problems = list(dict.fromkeys(_conflicts(self)))
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def settings(self, network: str) -> NetworkSettings:
        """Settings that hold for ``network``."""
        own = self.network.get(network)  # type: ignore[call-overload]
        return own or self._base

    @property
    def _base(self) -> NetworkSettings:
        """The study's own settings, for a network without a table."""
        return NetworkSettings(
            **{name: getattr(self, name) for name in NetworkSettings.model_fields}
        )


def _conflicts(config: StudyConfig) -> Iterable[str]:
    """Settings that are each allowed but do not fit together."""
    if len(set(config.networks)) < len(config.networks):
        yield f"networks: expected each network once, got {list(config.networks)}"
    base = list(_misfits(config._base, config.data))
    for name in config.networks:
        for problem in _misfits(config.settings(name), config.data):
            yield problem if problem in base else f"network.{name}.{problem}"


def _misfits(settings: NetworkSettings, data: DataSettings) -> Iterable[str]:
    train, paths = settings.train, settings.paths
    if train.keep > train.seeds:
        yield (
            f"train.keep: expected at most train.seeds = {train.seeds} (one cannot keep more runs "
            f"than there are), got {train.keep}"
        )
    possible = train.keep * (train.keep - 1) // 2
    if paths.pairs > possible:
        yield (
            f"paths.pairs: expected at most {possible}, the number of different pairs of "
            f"train.keep = {train.keep} runs, got {paths.pairs}"
        )
    if train.sgd.batch_size > data.train:
        yield (
            f"train.sgd.batch_size: expected at most data.train = {data.train}, "
            f"got {train.sgd.batch_size}"
        )
    smallest = min(data.train, data.test)
    if paths.batch_size is not None and paths.batch_size > smallest:
        yield (
            f"paths.batch_size: expected at most {smallest}, the smaller of data.train and "
            f"data.test, got {paths.batch_size}"
        )
    planes, sharpness = settings.planes, settings.sharpness
    if planes.pairs > paths.pairs:
        yield (
            f"planes.pairs: expected at most paths.pairs = {paths.pairs} (a plane goes through a "
            f"path's peak), got {planes.pairs}"
        )
    if sharpness.runs > train.keep:
        yield (f"sharpness.runs: expected at most train.keep = {train.keep}, got {sharpness.runs}")
    for table, wanted, images in (
        ("planes", planes.pairs, planes.images),
        ("sharpness", sharpness.runs, sharpness.images),
    ):
        if wanted and images > data.train:
            yield f"{table}.images: expected at most data.train = {data.train}, got {images}"
    if paths.terms > paths.points - 2:
        yield (
            f"paths.terms: expected at most paths.points - 2 = {paths.points - 2} (more sine terms "
            f"than inner points are not independent), got {paths.terms}"
        )


def _merge(base: Mapping[str, Any], table: Mapping[str, Any]) -> dict[str, Any]:
    """``table`` over ``base``, table by table."""
    merged = dict(base)
    for key, value in table.items():
        below = merged.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        merged[key] = _merge(below, value) if both else value  # type: ignore[arg-type]
    return merged

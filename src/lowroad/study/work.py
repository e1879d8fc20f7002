"""Doing a task: from its description, the data and the records before it to a new record."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from torch import Tensor

import lowroad
from lowroad.analysis import plane_axes, plane_through, sharpness
from lowroad.execution.clusters import ClusterError
from lowroad.execution.executor import Report
from lowroad.landscapes import NetworkLandscape
from lowroad.mnist import Images, Mnist, MnistError, load_mnist
from lowroad.models import MODELS
from lowroad.optimizers import GoldenSection, OptimizationResult, Progress, lbfgs, sgd
from lowroad.paths import FoundPath, FourierPathFinder
from lowroad.study.checkpoint import Checkpoint
from lowroad.study.config import LbfgsSettings, SgdSettings
from lowroad.study.device import CPU, Device, device_of
from lowroad.study.store import Record, Store
from lowroad.study.tasks import PathTask, SharpnessTask, Task, TrainingTask, canonical_json


def perform(
    directory: Path, task: Task, report: Report, device: Device = "cpu"
) -> dict[str, float]:
    """Do a task with one thread and write its record; what a worker is told to do.

    Returns:
        The numbers that progress shows, such as ``{"train loss": …}`` or ``{"path height": …}``.

    Raises:
        ClusterError: this process does not see the study's directory, or does not have the data.
    """
    store = Store(directory)
    if not store.study_file.exists():
        raise ClusterError(
            f"{platform.node()} does not see {store.study_file}: every worker needs the study's "
            "directory, on a file system that they share"
        )
    where = device_of(device)
    try:
        images = load_data(task.data.train, task.data.test, task.study_seed)
    except MnistError as error:  # the driver has it, so this is a worker's trouble
        raise ClusterError(f"{platform.node()} does not have the data: {error}") from error
    data = on_device(images, where)
    checkpoint = Checkpoint(store.checkpoint_path(task.hash))
    start = time.perf_counter()
    with task_arithmetic():
        if isinstance(task, TrainingTask):
            dataset = run_training(task, data, report, checkpoint)
            shown = {"train loss": "train_height", "test loss": "test_height"}
        elif isinstance(task, SharpnessTask):
            dataset = run_sharpness(task, store.read(task.record), data)
            shown = {"largest eigenvalue": "largest_eigenvalue"}
        else:
            records = [store.read(name) for name in task.records]
            dataset = run_path(task, records, data, report)
            shown = {"path height": "height", "straight": "straight_height"}
    store.write(
        task.hash,
        dataset.assign_attrs(
            task=canonical_json(task.determinants()),
            seconds=time.perf_counter() - start,
            **circumstances(where),
        ),
    )
    checkpoint.remove()
    return {label: float(dataset.attrs[name]) for label, name in shown.items()}


@lru_cache(maxsize=1)
def load_data(train: int, test: int, seed: int) -> Mnist:
    """The study's part of MNIST, loaded once a process."""
    return load_mnist().subset(train, test, seed)


@lru_cache(maxsize=1)
def on_device(data: Mnist, device: torch.device) -> Mnist:
    """The same data on a device, moved once a process."""
    parts = (data.train, data.test)
    return Mnist(*(Images(part.images.to(device), part.labels.to(device)) for part in parts))


@contextmanager
def task_arithmetic() -> Iterator[None]:
    """Let torch use one thread, so that sums have one order wherever a task runs.

    Numbers too small for float32's normal form count as zero: at training losses of 1e-9 most pulls
    are such, and a processor is slow with them. Convolutions on a CUDA device keep float32's
    digits, of which its fast form drops the last four, and their sums have one order, too.
    """
    threads, cudnn = torch.get_num_threads(), torch.backends.cudnn
    tf32, one_order = cudnn.allow_tf32, cudnn.deterministic
    torch.set_num_threads(1)
    cudnn.allow_tf32, cudnn.deterministic = False, True
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
        cudnn.allow_tf32, cudnn.deterministic = tf32, one_order
        torch.set_num_threads(threads)


def circumstances(device: torch.device) -> dict[str, str]:
    """What does not determine a record but belongs to its origin."""
    machine = f"{platform.node()}, {platform.system()} {platform.machine()}"
    versions = {
        "lowroad": lowroad.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine if device == CPU else f"{machine}, {device}",
        "versions": ", ".join(f"{name} {number}" for name, number in versions.items()),
    }


def network_landscape(
    task: Task, images: Images, generator: torch.Generator | None = None
) -> NetworkLandscape:
    """The task's network on ``images``, where they are; ``generator`` makes its initial point."""
    model = MODELS[task.network]
    module = model(activation=task.activation, generator=generator or torch.Generator())
    targets = images.labels if model.loss == "cross_entropy" else images.images
    module = module.to(images.images.device)
    return NetworkLandscape(module, images.images, targets, model.loss)


def run_training(
    task: TrainingTask, data: Mnist, report: Report, checkpoint: Checkpoint
) -> xr.Dataset:
    """One training run with the curves of both losses and the best point by each of them.

    It goes on from its checkpoint where there is one, and ends in the same bits either way (on the
    same device).

    Variables: ``train_heights``, ``test_heights`` [step], ``train_point``, ``test_point``
    [parameter]. Numbers are attributes: ``train_height`` (the lowest training loss, reached after
    ``train_step`` epochs or iterations), ``train_point_accuracy`` (share of the test images that
    ``train_point`` classifies rightly, NaN for the autoencoder), and so on.
    """

    def generator(use: str) -> torch.Generator:
        return torch.Generator().manual_seed(task.generator_seed(use))

    train = network_landscape(task, data.train, generator("initial weights"))
    test = network_landscape(task, data.test)
    start, settings = train.initial_point(), task.settings

    def callback(progress: Progress) -> None:
        report(progress.step, progress.value)
        checkpoint.note(progress)

    if isinstance(settings, SgdSettings):
        (minimum,) = sgd(
            train,
            start[None],
            generators=[generator("shuffling")],
            learning_rate=settings.learning_rate,
            epochs=settings.epochs,
            batch_size=settings.batch_size,
            validation=test,
            callback=callback,
            resume=checkpoint.load(start.device),
        )
    else:
        assert isinstance(settings, LbfgsSettings)
        minimum = lbfgs(
            train,
            start,
            line_search=GoldenSection(budget=settings.evaluations, first_step=settings.first_step),
            history=settings.history,
            iterations=settings.iterations,
            validation=test,
            callback=callback,
            resume=checkpoint.load(start.device),
        )
    return _training_dataset(task, minimum, test)


def _training_dataset(
    task: TrainingTask, minimum: OptimizationResult, test: NetworkLandscape
) -> xr.Dataset:
    history = minimum.history
    test_point = minimum.validation_point
    if test_point is None or minimum.validation_value is None:
        raise ArithmeticError(f"the test loss was never finite ({minimum.outcome.value})")
    return xr.Dataset(
        {
            "train_heights": ("step", history.values, {"long_name": "training loss"}),
            "test_heights": ("step", history.validation_values, {"long_name": "test loss"}),
            "train_point": (
                "parameter",
                minimum.point.cpu().numpy(),
                {"long_name": "weights at the lowest training loss"},
            ),
            "test_point": (
                "parameter",
                test_point.cpu().numpy(),
                {"long_name": "weights at the lowest test loss"},
            ),
        },
        coords={"step": ("step", history.steps, {"long_name": "epochs or iterations done"})},
        attrs={
            "title": str(task),
            "network": task.network,
            "optimizer": task.optimizer,
            "seed": task.seed,
            "train_height": minimum.value,
            "test_height": minimum.validation_value,
            "train_step": minimum.step,
            "test_step": minimum.validation_step,
            "train_point_accuracy": _accuracy(test, minimum.point),
            "test_point_accuracy": _accuracy(test, test_point),
            "outcome": minimum.outcome.value,
            "heights_evaluated": minimum.evaluations.values,
            "gradients_evaluated": minimum.evaluations.gradients,
        },
    )


def _accuracy(landscape: NetworkLandscape, point: Tensor) -> float:
    """Share of the landscape's inputs whose largest output is the label; NaN without labels."""
    if landscape.targets.is_floating_point():
        return float("nan")
    right = landscape.outputs(point).argmax(1) == landscape.targets
    return float(right.double().mean())


def run_path(task: PathTask, records: Sequence[Record], data: Mnist, report: Report) -> xr.Dataset:
    """The low path between the same weights of two training runs, and the straight line.

    Variables: ``profile`` [t], the loss along the path; ``totals`` and ``heights`` [step], what the
    finder saw; ``peak_point`` [parameter]. Numbers are attributes: ``height`` (Eq. 5),
    ``length``, ``straight_height``, ``straight_length``, and so on. All heights are those on the
    grid of ``points``, as in the paper.

    With a plane also what :func:`~lowroad.analysis.plane_through` gives, names beginning with
    ``plane_``: heights [plane_v, plane_u] on the first images alone, and over t the path's place
    on the plane, its distance from it, and the height below it; nothing of it where the peak is
    an end of the path and there is no plane.
    """
    images = data.train if task.landscape == "train" else data.test
    landscape = network_landscape(task, images)
    start, end = (_point(record, task.weights).to(landscape.device) for record in records)
    settings = task.settings
    found = FourierPathFinder(
        terms=settings.terms,
        points=settings.points,
        smoothness=settings.smoothness,
        steps=settings.steps,
        learning_rate=settings.learning_rate,
        batch_size=settings.batch_size,
        refinements=0,
    ).find(
        landscape,
        start,
        end,
        generator=torch.Generator().manual_seed(task.generator_seed()),
        callback=report,
    )
    history = found.history
    assert history.steps[0] == 0  # the search begins with the straight line
    dataset = xr.Dataset(
        {
            "profile": ("t", found.profile, {"long_name": "loss along the path"}),
            "totals": ("step", history.totals, {"long_name": "cumulative loss"}),
            "heights": ("step", history.heights, {"long_name": "highest loss on the path"}),
            "peak_point": (
                "parameter",
                found.peak_point.cpu().numpy(),
                {"long_name": "weights at the highest point of the path"},
            ),
        },
        coords={"t": np.asarray(found.t), "step": np.asarray(history.steps)},
        attrs={
            "title": str(task),
            "network": task.network,
            "weights": task.weights,
            "landscape": task.landscape,
            "seeds": list(task.seeds),
            "height": found.height,
            "straight_height": float(history.heights[0]),
            "length": found.length,
            "straight_length": float(torch.linalg.vector_norm(end.double() - start.double())),
            "outcome": found.outcome.value,
            "heights_evaluated": found.evaluations.values,
            "gradients_evaluated": found.evaluations.gradients,
        },
    )
    if task.plane is None:
        return dataset
    return dataset.merge(_plane(task, images, found))


def _plane(task: PathTask, images: Images, found: FoundPath) -> xr.Dataset:
    """The plane through a path's ends and its peak, on the first images."""
    settings = task.plane
    assert settings is not None
    part = Images(images.images[: settings.images], images.labels[: settings.images])
    corners = {"start": found.path.start, "end": found.path.end, "peak": found.peak_point}
    try:
        plane_axes(*corners.values())
    except ValueError:  # the peak is one of the ends, or on the line between them
        return xr.Dataset()
    plane = plane_through(
        network_landscape(task, part), corners, {"path": found}, resolution=settings.resolution
    )
    along = plane.sel(path="path")
    return xr.Dataset(
        {
            "plane_height": (
                ("plane_v", "plane_u"),
                plane["height"].transpose("v", "u").values,
                {"long_name": "loss on the plane"},
            ),
            "plane_position": (("corner", "plane_axis"), plane["position"].values),
            "plane_point_height": ("corner", plane["point_height"].values),
            "plane_place": (("t", "plane_axis"), along["projection"].values),
            "plane_distance": ("t", along["distance"].values),
            "plane_below": ("t", along["projected_height"].values),
        },
        coords={"plane_u": plane["u"].values, "plane_v": plane["v"].values},
    )


def run_sharpness(task: SharpnessTask, record: Record, data: Mnist) -> xr.Dataset:
    """Top eigenvalues and trace of the training loss's Hessian at a point of a training run.

    Variable ``eigenvalues`` [rank], the largest first; attributes ``trace``, ``trace_error`` and
    ``products``, how many products with the Hessian were taken.
    """
    settings = task.settings
    images = Images(data.train.images[: settings.images], data.train.labels[: settings.images])
    landscape = network_landscape(task, images)
    found = sharpness(
        landscape,
        _point(record, task.weights).to(landscape.device),
        eigenvalues=settings.eigenvalues,
        samples=settings.samples,
        generator=torch.Generator().manual_seed(task.generator_seed()),
    )
    return xr.Dataset(
        {"eigenvalues": ("rank", found.eigenvalues, {"long_name": "eigenvalues of the Hessian"})},
        coords={"rank": np.arange(1, len(found.eigenvalues) + 1)},
        attrs={
            "title": str(task),
            "network": task.network,
            "weights": task.weights,
            "seed": task.seed,
            "largest_eigenvalue": float(found.eigenvalues[0]),
            "trace": found.trace,
            "trace_error": found.trace_error,
            "products": found.products,
        },
    )


def _point(record: Record, weights: str) -> Tensor:
    """The weights of a training run that belong to a set."""
    side = weights.partition("_")[2]
    return torch.from_numpy(record.arrays[f"{side}_point"])

"""Clients of dask's distributed scheduler: a running one, or one with SLURM jobs."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from distributed import Client, SpecCluster

from lowroad import __version__
from lowroad.execution.clusters import ENVIRONMENT, ClusterError, Scheduler, Slurm
from lowroad.execution.events import one_line

SECONDS_TO_CONNECT = 30
SECONDS_TO_OPEN_THE_DASHBOARD = 5


@contextlib.contextmanager
def client_of(workers: Scheduler | Slurm) -> Iterator[Client]:
    """A client with its workers, which end with it unless the scheduler was running already.

    Raises:
        ClusterError: the scheduler does not answer, SLURM or the package for it is not installed,
            or the cluster file's job is refused.
    """
    with _silence():
        if isinstance(workers, Scheduler):
            with _connected(_address(workers.address)) as client:
                _check_version(client, workers.address)
                yield client
        else:
            with _slurm(workers) as cluster, Client(cluster) as client:
                yield client


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep dask from logging here: what matters is raised or told."""
    logger = logging.getLogger("distributed")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _check_version(client: Client, address: str) -> None:
    """Refuse a scheduler that cannot pass tasks on, since it reads them: every task would fail."""
    try:
        version = client.run_on_scheduler(_version)
    except Exception as error:
        raise ClusterError(
            f"the scheduler at {address} cannot import lowroad: install it there "
            f"({one_line(error)})"
        ) from error
    if version != __version__:
        raise ClusterError(
            f"the scheduler at {address} has lowroad {version}, this is {__version__}: install the "
            "same version everywhere"
        )


def _version() -> str:
    return __version__


def dashboard_of(client: Client) -> str | None:
    """The address of the page that shows the workers, if it can be opened from here."""
    if not _has_dashboard():
        return None
    # A scheduler without a dashboard names an address, too.
    address = client.dashboard_link
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        direct.open(address, timeout=SECONDS_TO_OPEN_THE_DASHBOARD).close()
    except (OSError, ValueError):
        return None
    return str(address)


def _has_dashboard() -> bool:
    return importlib.util.find_spec("bokeh") is not None


def _address(given: str) -> str:
    """The address of a running scheduler, which may stand in its scheduler file."""
    if not given.endswith(".json"):
        return given
    advice = f"`dask scheduler --scheduler-file {given}` writes it"
    try:
        content = json.loads(Path(given).read_text(encoding="utf-8"))
    except OSError as error:
        raise ClusterError(
            f"{given}: expected a scheduler file: {error.strerror}; {advice}"
        ) from error
    except ValueError as error:
        raise ClusterError(f"{given}: expected a scheduler file, got no JSON; {advice}") from error
    address = content.get("address") if isinstance(content, dict) else None
    if not isinstance(address, str):
        raise ClusterError(f"{given}: expected a scheduler file with an address; {advice}")
    return address


def _connected(address: str) -> Client:
    try:
        return Client(address, timeout=SECONDS_TO_CONNECT)
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"no dask scheduler answers at {address} ({one_line(error)}); start one with "
            "`dask scheduler` and give its address"
        ) from error


def _slurm(slurm: Slurm) -> SpecCluster:
    try:
        from lowroad.execution.slurm import SlurmJobs
    except ImportError as error:
        raise ClusterError(
            "SLURM jobs need dask-jobqueue: pip install 'lowroad[cluster]'"
        ) from error
    return SlurmJobs(slurm, ENVIRONMENT)

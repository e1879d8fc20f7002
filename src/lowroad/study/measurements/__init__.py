"""What a study measures: one module for each kind of task, and the list of them."""

from lowroad.study.measurements.checkpoint import CHECKPOINT
from lowroad.study.measurements.distinct import DISTINCT
from lowroad.study.measurements.gradient_norm import GRADIENT_NORM
from lowroad.study.measurements.measurement import Context, Measurement
from lowroad.study.measurements.metric import METRIC
from lowroad.study.measurements.path import PATH
from lowroad.study.measurements.plane import PLANE
from lowroad.study.measurements.sharpness import SHARPNESS
from lowroad.study.measurements.training import TRAINING

MEASUREMENTS: dict[str, Measurement] = {
    each.name: each
    for each in (TRAINING, CHECKPOINT, DISTINCT, PATH, PLANE, METRIC, SHARPNESS, GRADIENT_NORM)
}

__all__ = ["MEASUREMENTS", "Context", "Measurement"]

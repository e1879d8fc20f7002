from __future__ import annotations

import numpy as np
import pytest

from lowroad.analysis.losses import loss_table, representative_run, rise_after_minimum


def test_table_of_known_minima():
    table = loss_table(
        {
            "FCP": {"sgd_train": [2.0, 4.0, 9.0], "lbfgs_train": [1.0, np.nan]},
            "LSTM": {"sgd_train": []},
        }
    )
    cell = table.sel(network="FCP", weights="sgd_train")
    assert cell["mean"].item() == 5.0
    assert cell["standard_deviation"].item() == pytest.approx(np.sqrt(13.0))
    one = table.sel(network="FCP", weights="lbfgs_train")
    assert (one["mean"].item(), one["n"].item(), one["not_finite"].item()) == (1.0, 1, 1)
    assert np.isnan(one["standard_deviation"].item())
    empty = table.sel(network="LSTM", weights="lbfgs_train")
    assert empty["n"].item() == 0
    assert np.isnan(empty["mean"].item())
    assert table.attrs["ddof"] == 1
    with pytest.raises(ValueError, match=r"shape \[n\]"):
        loss_table({"FCP": {"sgd_train": [[1.0]]}})


def test_rise_after_minimum():
    assert rise_after_minimum([4.0, 1.0, 3.0]) == 3.0
    assert rise_after_minimum([4.0, 3.0, 2.0]) == 1.0
    assert rise_after_minimum([4.0, 1.0, 2.0, np.nan]) == 2.0
    assert np.isnan(rise_after_minimum([]))
    assert np.isnan(rise_after_minimum([np.nan]))
    assert np.isnan(rise_after_minimum([1.0, 0.0]))


def test_representative_run_is_the_one_nearest_the_median():
    assert representative_run([0.1, 0.5, 0.3]) == 2
    assert representative_run([np.nan, 2.0, 9.0, 3.0]) == 3
    assert representative_run([1.0, 3.0]) == 0
    with pytest.raises(ValueError, match="at least one finite"):
        representative_run([np.nan])

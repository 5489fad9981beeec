from __future__ import annotations

import numpy as np
import pandas as pd

from ser.report import budget

COST = {"folds": 10, "seconds": 600, "threads": 1, "device": "cpu", "resumed": False}


def test_the_score_on_dev_stands_beside_the_core_minutes_up_to_there():
    curve = pd.DataFrame({"evaluation": range(1, 41), "dev_score": np.linspace(0.2, 0.59, 40).round(2)})
    (row,) = budget.table({"cnns": curve}, {"cnns": COST}).body
    assert row == ("cnns", "0.24 (1.2)", "0.29 (2.5)", "0.39 (5.0)", "0.59 (10)", "0.59")


def test_trainings_without_a_curve_on_dev_or_a_cost_are_left_out():
    curve = pd.DataFrame({"evaluation": [1, 2], "dev_score": [None, None]})
    long = pd.DataFrame({"evaluation": range(1, 9), "dev_score": 0.5})
    assert budget.table({"svm": curve, "empty": pd.DataFrame()}, {"svm": COST, "empty": COST}) is None
    assert budget.table({"x": long}, {}) is None
    assert len(budget.table({"x": long, "svm": curve}, {"x": COST, "svm": COST}).body) == 1

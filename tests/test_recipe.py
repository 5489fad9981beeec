"""Values of a training that cannot be are refused by a sentence that names the key."""

from __future__ import annotations

import pytest

from ser.core.recipe import Training


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 1, "steps": 1}, "epochs and steps are both given"),
        ({"window": "crops"}, "window crops needs frames"),
        ({"batch": 0}, "batch must be at least 1, not 0"),
        ({"chance_margin": 1.0}, "chance_margin is added to a share"),
        ({"warmup": 1.0}, "warmup is a share of the steps"),
        ({"time_share": 1.5}, "time_share is a share of the utterance"),
        ({"noise": (20.0, 10.0)}, "noise is the lowest and the highest ratio"),
        ({"label_smoothing": 1.0}, "label_smoothing is a share"),
        ({"schedule": "one_cycle", "warmup": 0.0}, "set warmup, such as 0.1"),
        ({"gamma": 0.0}, "gamma is a factor above 0"),
        ({"lr": 0.0}, "lr and clip must be positive"),
        ({"mixup": -1.0}, "mixup must not be negative"),
        ({"betas": (0.9, 1.0)}, "betas are from 0 to below 1"),
    ],
)
def test_a_value_that_cannot_be(values, message):
    with pytest.raises(ValueError, match=message):
        Training(**{"epochs": None, "batch": 8, "lr": 0.01, **values})

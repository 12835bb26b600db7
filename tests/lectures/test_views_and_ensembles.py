"""11_views_and_ensembles: what is exact about a mean of views, and that more of them are better."""

import numpy as np
import pytest

NAME = "11_views_and_ensembles"


def test_a_mean_of_equal_views_is_the_view_and_its_loss_at_most_their_mean_loss(quick):
    result = quick(NAME)["result"]
    assert max(result["grey"]) < 1e-5
    (least, most) = result["loss_gain"][0]
    assert least > -1e-5 and most > 1e-4  # float32 has 1e-6 here, and the views differ


@pytest.mark.lectures
def test_ten_views_and_three_networks_are_better_than_one(default):
    errors = default(NAME)["result"]["errors"]
    one, networks, views, both = (
        np.mean(errors[name][count - 1])
        for name, count in (("1 view", 1), ("1 view", 3), ("10 views", 1), ("10 views", 3))
    )
    assert views < one and networks < one and both < one

"""01_history: depths are counted in the networks."""


def test_depths(quick):
    assert quick("01_history")["result"]["depth"] == {
        "alexnet_2012": 8, "vgg19": 19, "googlenet": 22, "resnet152": 152,
    }  # fmt: skip

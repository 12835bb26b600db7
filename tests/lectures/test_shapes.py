"""02_shapes: AlexNet's sizes and counts."""


def test_sizes(quick):
    result = quick("02_shapes")["result"]
    assert result["output"] == [55, 27, 27, 13, 13, 13, 13, 6] == result["right_formula"]
    assert not any(a == b for a, b in zip(result["deck_formula"], result["output"], strict=True))


def test_counts(quick):
    result = quick("02_shapes")["result"]
    assert list(result["parameters"].values()) == [60_965_224, 62_378_344, 61_100_840]
    assert list(result["multiply_adds"].values()) == [724_406_816, 1_135_256_096, 714_188_480]
    assert result["neurons_by_layer"][1:] == result["neurons_by_caption"][1:]
    assert result["conv1_parameters"] == 34_944 and result["neurons"] == 659_272 == sum(result["neurons_by_layer"])

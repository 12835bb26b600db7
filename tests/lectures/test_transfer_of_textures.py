"""What 15_data_and_distance, 16_rethinking and 17_barrier begin with, and what they find."""

import numpy as np
import pytest
from lecture_runs import experiment, lecture_module, program
from programs import draw

import minicnn
from minicnn.errors import SettingError

tasks = lecture_module("common.tasks")
pretraining = lecture_module("common.pretraining")


@pytest.fixture(scope="module")
def start():
    return pretraining.learn(experiment.Run("quick", None, range(1)))


def rows(images):
    return {image.tobytes() for image in images}


def test_training_validation_and_test_pictures_are_others(start):
    task = start.similar
    sets = [rows(images) for images in (task.pool, task.validation, task.test)]
    assert [len(some) for some in sets] == [5 * 20, 5 * 4, 5 * 12]
    assert len(set.union(*sets)) == sum(map(len, sets))
    assert task.test.dtype == np.float32 and task.classes == 5


def test_a_training_set_has_as_many_of_each_class_and_depends_on_the_seed(start):
    images, labels = start.similar.training_set(3, seed=1)
    assert np.bincount(labels).tolist() == [3] * 5 and rows(images) <= rows(start.similar.pool)
    np.testing.assert_array_equal(images, start.similar.training_set(3, seed=1)[0])
    assert rows(images) != rows(start.similar.training_set(3, seed=2)[0])
    with pytest.raises(ValueError, match="class 0 has 20 pictures, not 21"):
        start.similar.training_set(21, seed=1)


def test_a_network_has_what_was_learnt_and_a_new_head(start):
    one, other, scratch = start.network(1), start.network(2), start.network(1, pretrained=False)
    states = [{name: value.numpy() for name, value in model.state_dict().items()} for model in (one, other, scratch)]
    for name, learnt in start.weights.items():
        np.testing.assert_array_equal(states[0][name], learnt)
    assert set(states[0]) - set(start.weights) == {"fc.weight", "fc.bias"}
    assert not np.array_equal(states[0]["fc.weight"], states[1]["fc.weight"])  # the seed decides
    np.testing.assert_array_equal(states[0]["fc.weight"], states[2]["fc.weight"])  # of the same head, both begin
    assert not np.array_equal(states[0]["conv1.weight"], states[2]["conv1.weight"])


def test_a_folder_with_too_few_classes_is_said(tmp_path):
    for part, count in (("train", 24), ("val", 12)):  # what the quick mode needs
        draw(tmp_path / part, ["dark", "light"], count)
    with pytest.raises(SettingError, match="has 2 of the 10 classes that are needed"):
        pretraining.learn(experiment.Run("quick", tmp_path, range(1)))


def test_features_are_those_of_the_stage(start):
    model, task = start.network(1), start.similar
    x = task.test[:3]
    first, second = pretraining.features(model, "layer3", [task.pool, x])
    assert first.shape == (100, 64) and abs(first.mean(0)).max() < 1e-4
    maps = minicnn.nn.output_of(model, "layer3", minicnn.Tensor(x)).numpy()  # (3, 64, 4, 4)
    given = minicnn.nn.output_of(model, "layer3", minicnn.Tensor(task.pool)).numpy().mean((2, 3))
    np.testing.assert_allclose(second, (maps.mean((2, 3)) - given.mean(0)) / (given.std(0) + 1e-3), rtol=0, atol=1e-4)


def test_digits_are_colour_pictures():
    images, labels = tasks.digit_pictures(16)
    assert images.shape == (2500, 3, 16, 16) and images.dtype == np.uint8
    assert np.bincount(labels).tolist() == [500] * 5
    assert (images[:, 0] == images[:, 2]).all() and images.max() > 200


@pytest.mark.parametrize(("errors", "found"), [([4.0, 2.1, 2.0], "3"), ([1.0, 2.0, 2.0], "1"), ([4.0, 3.0, 2.1], None)])
def test_when_scratch_has_caught_up(errors, found):
    by_length = {str(i + 1): [value - 0.5, value + 0.5] for i, value in enumerate(errors)}
    result = {"errors": {"pre-trained, 9 a class": {"1": [1.0, 3.0]}, "from scratch, 9 a class": by_length}}
    assert program("16_rethinking").caught_up(result, "9 a class") == found


def test_the_sentence_compares_schedules_of_equal_length_and_more_data_with_pre_training():
    errors = {
        "pre-trained, 90 a class": {"1": [4.0], "2": [1.0], "3": [3.0]},
        "from scratch, 90 a class": {"1": [20.0], "2": [4.0], "3": [3.0], "6": [0.5]},
        "pre-trained, 9 a class": {"1": [10.0], "2": [9.0], "3": [2.0]},
        "from scratch, 9 a class": {"1": [30.0], "2": [20.0], "3": [15.0], "6": [11.0]},
    }
    said = program("16_rethinking").measured({"errors": errors, "steps": 50})
    for words in (
        "With 90 a class, at 2x scratch is as good as fine-tuning at 1x (4.0 against 4.0 % test error)",
        "with 9 a class, even at 6x scratch is not as good as fine-tuning at 1x (11.0 against 10.0 % test error)",
        "fine-tuning has less error at 1x, 2x with 90 a class and at 1x, 2x, 3x with 9 a class.",
        "scratch with 90 a class has less error than fine-tuning with 9 a class at 2x.",
    ):
        assert words in said


@pytest.mark.lectures
def test_pre_training_helps_where_there_is_little(default):
    errors = default("15_data_and_distance")["result"]["errors"]
    mean = {name: np.mean(values) for name, values in errors.items()}
    assert default("15_data_and_distance")["result"]["pretrained_error"] < 5
    assert mean["similar, little, all stages tuned"] < mean["similar, little, from scratch"] - 5
    assert mean["different, much, all stages tuned"] < mean["different, much, linear on layer3"] - 2
    assert mean["different, little, linear on layer1"] < mean["different, little, linear on layer3"]  # an earlier stage


@pytest.mark.lectures
def test_from_scratch_it_takes_longer(default):
    errors = default("16_rethinking")["result"]["errors"]
    for amount in ("100 a class", "10 a class"):
        tuned, scratch = (errors[f"{beginning}, {amount}"] for beginning in ("pre-trained", "from scratch"))
        assert np.mean(tuned["1"]) < np.mean(scratch["1"])
        assert np.mean(scratch["6"]) < np.mean(scratch["1"])
    assert np.mean(errors["from scratch, 100 a class"]["3"]) < np.mean(errors["pre-trained, 10 a class"]["3"])

"""TensorBoard's files, read by TensorBoard's own reader."""

import io
import sys

import numpy as np
import pytest
from checks import raises
from kill_and_resume import after_batches, ask_to_stop, repeated_part, resumed, small_trainer
from PIL import Image

from minicnn import models
from minicnn.errors import SettingError
from minicnn.runlog import COLUMNS, read_log
from minicnn.train import Interrupted, TensorBoard
from minicnn.train.tensorboard import _smaller, graph_of

accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason="no TensorBoard")
HParamsPluginData = pytest.importorskip("tensorboard.plugins.hparams.plugin_data_pb2").HParamsPluginData
pytest.importorskip("tensorboardX", reason="no tensorboardX")


def read(folder):
    """What TensorBoard would show of a run."""
    found = accumulator.EventAccumulator(str(folder), dict.fromkeys(accumulator.DEFAULT_SIZE_GUIDANCE, 0))
    return found.Reload()


def test_scalars_are_the_rows_of_the_log(tmp_path):
    small_trainer(tmp_path, epochs=2, callbacks=[TensorBoard()]).fit()
    found, rows = read(tmp_path), read_log(tmp_path / "log.csv")
    assert len(found.Tags()["scalars"]) == len(COLUMNS) - 1  # without the epoch
    events = found.Scalars("top1/val")
    assert [event.step for event in events] == [1, 2]
    assert [event.value for event in events] == [pytest.approx(float(row["val_top1"]), rel=1e-5) for row in rows]


def test_a_run_that_goes_on_has_each_epoch_once(tmp_path):
    trainer = small_trainer(tmp_path, epochs=3, callbacks=[TensorBoard()])
    trainer.fit()
    last = tmp_path / "checkpoint_last.npz"
    first = small_trainer(tmp_path, epochs=4, callbacks=[TensorBoard()])
    after_batches(first, 10, lambda: ask_to_stop(first))  # within epoch 2, although three stand in the file
    with pytest.raises(Interrupted):
        first.fit()
    assert last.exists()
    resumed(small_trainer(tmp_path, epochs=4, callbacks=[TensorBoard()])).fit()
    assert [event.step for event in read(tmp_path).Scalars("loss/train")] == [1, 2, 3, 4]
    assert len(list(tmp_path.glob("events.out.tfevents*"))) == 3


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with raises(SettingError, "needs the package tensorboardX; pip install", "--no-tensorboard"):
        TensorBoard()


def test_pictures_histograms_graph_and_settings(tmp_path):
    settings = {"arch": "small", "lr": 0.05, "milestones": [3, 4], "width": None, "augment": True}
    trainer = small_trainer(tmp_path, epochs=2, settings=settings, callbacks=[TensorBoard(images=6)])
    trainer.fit()
    found = read(tmp_path)

    (last, *_) = reversed(found.Images("validation/pictures"))
    sheet = np.asarray(Image.open(io.BytesIO(last.encoded_image_string)))
    assert last.step == 2 and sheet.shape == (2 * (13 * 8 + 14) + 8, 3 * 13 * 8 + 8, 3)  # 2 x 3 of 12 x 12, 8 times
    first = next(trainer.val_loader.epoch(0)).images[0]
    assert (sheet[8:104:8, 8:104:8] == first.transpose(1, 2, 0)).all()

    weights = found.Histograms("weights/6.weight")
    value = trainer.model[6].weight.numpy()
    assert [each.step for each in weights] == [1, 2]
    histogram = weights[-1].histogram_value
    assert histogram.num == value.size and histogram.max == pytest.approx(value.max())
    assert histogram.sum == pytest.approx(value.sum(dtype=np.float64), abs=1e-4)
    gradients = found.Histograms("gradients/6.weight")[-1].histogram_value
    assert gradients.min == pytest.approx(trainer.model[6].weight.grad.numpy().min())

    nodes = {node.name: node for node in found.Graph().node}
    assert list(nodes) == ["input", "0", "1", "2", "3", "4", "6"]  # without dropout, which lets all pass
    assert nodes["0"].op == "Conv2d" and list(nodes["0"].input) == ["input"] and list(nodes["6"].input) == ["4"]
    assert [dim.size for dim in nodes["0"].attr["_output_shapes"].list.shape[0].dim] == [-1, 8, 12, 12]

    metadata = found.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    values = HParamsPluginData.FromString(metadata).session_start_info.hparams
    plain = {name: getattr(value, value.WhichOneof("kind")) for name, value in values.items()}
    assert plain == {"arch": "small", "lr": 0.05, "milestones": "[3, 4]", "augment": True}
    experiment = HParamsPluginData.FromString(found.SummaryMetadata("_hparams_/experiment").plugin_data.content)
    compared = {metric.name.tag for metric in experiment.experiment.metric_infos}
    assert compared == {"loss/train", "loss/val", "top1/train", "top1/val"} <= set(found.Tags()["scalars"])
    assert found.SummaryMetadata("_hparams_/session_end_info")


def test_large_pictures_are_made_smaller():
    pictures = np.arange(2 * 3 * 4 * 6, dtype=np.uint8).reshape(2, 3, 4, 6)
    assert _smaller(pictures, 1) is pictures
    found = _smaller(pictures, 2)
    assert found.shape == (2, 3, 2, 3) and found[0, 0, 0, 0] == (0 + 1 + 6 + 7) // 4


def test_boxes_of_modules():
    model = models.resnet18(num_classes=3)
    nodes = {node.name: node for node in graph_of(model, np.zeros((1, 3, 32, 32), np.float32)).node}
    assert set(nodes["layer2/0/ResidualAdd"].input) == {"layer2/0/bn2", "layer2/0/downsample/1"}
    assert not set(nodes) & {name.rpartition("/")[0] for name in nodes}  # none is a box and an op
    assert sum(node.attr["parameters"].i for node in nodes.values()) == sum(p.size for p in model.parameters())
    assert model.training


def test_it_changes_nothing(tmp_path):
    plain, watched = tmp_path / "plain", tmp_path / "watched"
    plain.mkdir(), watched.mkdir()
    small_trainer(plain, epochs=2).fit()
    small_trainer(watched, epochs=2, callbacks=[TensorBoard()]).fit()
    assert repeated_part(plain) == repeated_part(watched)

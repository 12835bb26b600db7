"""TensorBoard's files, in the folder of the run: ``tensorboard --logdir runs`` shows them.

time series    log.csv's columns, grouped by what they measure: loss/train, loss/val, top1/train, ...
images         the first pictures of validation, with what the network takes them for
histograms     weights/<parameter>, and gradients/<parameter> of the epoch's last batch
graphs         the network's ops, in boxes of its modules
hparams        the settings, beside the latest loss and accuracy: for comparing runs
"""

from typing import Any

import numpy as np

from ..data import Batch
from ..device import to_device
from ..nn import Module
from ..nn.flow import INPUT, flow
from ..settings import whole
from ..sheet import as_pictures, sheet
from ..types import Array
from .callbacks import Callback
from .eventfile import EventFile, event_package
from .step import Outcome

TAGS = {  # of the columns of log.csv: a group, and the name in it
    "lr": "schedule/lr", "train_loss": "loss/train", "val_loss": "loss/val", "train_top1": "top1/train",
    "val_top1": "top1/val", "train_top5": "top5/train", "val_top5": "top5/val", "seconds": "time/seconds_of_epoch",
    "data_seconds": "time/seconds_waiting_for_data", "images_per_second": "time/images_per_second",
}  # fmt: skip
BINS = 60  # of a histogram
LEGIBLE = 96  # pixels: pictures are shown about that wide, for the names below them and for small files


class TensorBoard(Callback):
    """A callback that writes what TensorBoard shows of a run. SettingError without the package tensorboardX.

    images: how many pictures of the first batch of validation; 0: none
    histograms, graph: whether there are to be any
    The step of everything is its epoch.
    """

    def __init__(self, images: int = 16, histograms: bool = True, graph: bool = True) -> None:
        self.images, self.histograms = whole("TensorBoard", "images", images, 0), histograms
        self.package = event_package()
        self.graph_is_due = graph
        self.file: Any = None
        self.sheet: Array | None = None  # uint8 (H, W, 3)

    def on_fit_start(self, trainer: Any) -> None:
        """Begin a file. What earlier ones hold of epochs that will be repeated counts no more."""
        self.file = EventFile(trainer.folder, trainer.epoch + 1)
        self.graph_is_due &= self.file.is_first
        if self.file.is_first:
            settings = {name: _plain(value) for name, value in trainer.settings.items() if value is not None}
            compared = [tag for tag in TAGS.values() if tag.startswith(("loss", "top1"))]
            experiment, start, _ = self.package.summary.hparams(settings, dict.fromkeys(compared, 0.0))
            self.file.add(experiment, 0)
            self.file.add(start, 0)

    def on_batch_end(self, trainer: Any, batch: Batch, outcome: Outcome) -> None:
        """The graph, as soon as the size of a picture is known."""
        if self.graph_is_due and len(batch.images):
            self.graph_is_due = False
            one = trainer.normalize(to_device(batch.images[:1], trainer.device))
            self.file.add_graph(graph_of(trainer.model, one).SerializeToString())

    def on_validation_batch(self, trainer: Any, batch: Batch, log_p: Array) -> None:
        """The first pictures, with what the network makes of them now."""
        pictures = as_pictures(batch.images[: self.images]) if batch.position == 0 else None
        if pictures is None:
            return
        names = trainer.classes or [str(number) for number in range(log_p.shape[1])]
        guesses = log_p.argmax(axis=1)
        pairs = zip(guesses[: self.images], batch.labels[: self.images], strict=True)
        labels = [names[guess] if guess == label else f"{names[guess]}, no: {names[label]}" for guess, label in pairs]
        pictures = _smaller(pictures, pictures.shape[3] // LEGIBLE)
        zoom = max(1, round(LEGIBLE / pictures.shape[3]))
        self.sheet = np.asarray(sheet(pictures, zoom, labels))

    def on_epoch_end(self, trainer: Any, metrics: dict[str, float]) -> None:
        """The row of log.csv, pictures and histograms."""
        summary, epoch = self.package.summary, int(metrics["epoch"])
        for column, tag in TAGS.items():
            if column in metrics:
                self.file.add(summary.scalar(tag, metrics[column]), epoch)
        if self.sheet is not None:
            self.file.add(summary.image("validation/pictures", self.sheet, dataformats="HWC"), epoch)
        for name, parameter in trainer.model.named_parameters() if self.histograms else ():
            for group, tensor in (("weights", parameter), ("gradients", parameter.grad)):
                values = np.zeros(0) if tensor is None else tensor.numpy().ravel()
                values = values[np.isfinite(values)]
                if values.size:
                    self.file.add(summary.histogram(f"{group}/{name}", values, BINS), epoch)

    def on_fit_end(self, trainer: Any) -> None:
        """The settings' run has ended well; the file is closed."""
        self.file.add(self.package.summary.hparams({}, {})[2], trainer.epoch)
        self._close()

    def on_exception(self, trainer: Any, error: BaseException) -> None:
        """The file is closed."""
        self._close()

    def _close(self):
        if self.file is not None:
            self.file.close()
            self.file = None


def graph_of(model: Module, images: Array) -> Any:
    """TensorBoard's ``GraphDef`` of the ops that `images`, normalised, pass: a box for each module."""
    proto = event_package().proto
    steps = flow(model, images)
    names = [step.name.replace(".", "/").replace(" ", "_") for step in steps]
    boxes = {name.rpartition("/")[0] for name in names}
    names = [f"{name}/{step.op}" if name in boxes else name for name, step in zip(names, steps, strict=True)]
    graph = proto.graph_pb2.GraphDef()
    graph.node.add(name="input", op="Placeholder")
    for name, step in zip(names, steps, strict=True):
        inputs = ["input" if number == INPUT else names[number] for number in step.inputs]
        node = graph.node.add(name=name, op=step.op, input=inputs)
        shape = node.attr["_output_shapes"].list.shape.add()
        for size in (-1, *step.shape):  # a batch of any size
            shape.dim.add(size=size)
        node.attr["parameters"].i = step.parameters
    return graph


def _smaller(pictures, factor):
    """Each pixel the mean of factor x factor of them."""
    if factor < 2:
        return pictures
    count, channels, height, width = pictures.shape
    rows, columns = height // factor, width // factor
    whole_ones = pictures[:, :, : rows * factor, : columns * factor]
    return whole_ones.reshape(count, channels, rows, factor, columns, factor).mean(axis=(3, 5)).astype(np.uint8)


def _plain(value):
    return value if isinstance(value, (bool, int, float, str)) else str(value)

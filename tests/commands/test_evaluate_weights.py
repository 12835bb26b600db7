"""minicnn evaluate from its command line, with CIFAR's networks in the place of ImageNet's, offline."""

import numpy as np
import pytest
from pickles import save
from PIL import Image

from minicnn import Tensor, manual_seed, models, no_grad
from minicnn.commands import evaluate as program
from minicnn.data import ChannelMeanStd
from minicnn.pretrained import Weights, loading, weights
from minicnn.train import exit_code, save_checkpoint
from minicnn.train.meters import Scores

CLASSES = [f"n0{label}" for label in range(7)]
SEEDS = {"one.npz": ("resnet20", 3), "two.npz": ("resnet20", 4), "other.npz": ("resnet32", 5)}
REGISTRY = (  # arch, name, url, top1, top5, parameters, shorter side, image size
    Weights("resnet20", "IMAGENET1K_V1", "one.npz", 71.5, 91.25, 0, 40, 32),
    Weights("resnet20", "IMAGENET1K_V2", "two.npz", 72.0, 92.0, 0, 36, 32),
    Weights("resnet32", "IMAGENET1K_V1", "other.npz", 70.0, 90.0, 0, 40, 32),
    Weights("alexnet", "IMAGENET1K_V1", "alexnet.npz", 60.0, 80.0, 0, 66, 64),
)


@no_grad()
def network(arch, seed):
    """One whose scores differ from picture to picture, and are widely spread."""
    manual_seed(seed)
    model = models.create(arch, len(CLASSES)).eval()
    model.fc.weight.data *= 4
    colours = np.random.default_rng(seed).normal(size=(20, 3, 4, 4)).astype(np.float32)
    model.fc.bias.data[:] = -model(Tensor(colours.repeat(8, axis=2).repeat(8, axis=3))).numpy().mean(axis=0)
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The files of REGISTRY, and pictures in val/: 2 of each class."""
    folder = tmp_path_factory.mktemp("weights")
    for name, (arch, seed) in SEEDS.items():
        save_checkpoint(folder / name, {"model": network(arch, seed).state_dict()})
    save_checkpoint(folder / "alexnet.npz", {"model": models.alexnet(len(CLASSES), width=8).state_dict()})
    rng = np.random.default_rng(0)
    for name in CLASSES:
        (folder / "pictures" / "val" / name).mkdir(parents=True)
        for i in range(2):
            coarse = Image.fromarray(rng.integers(0, 256, (4, 5, 3), np.uint8))
            coarse.resize((60, 45 + i)).save(folder / "pictures" / "val" / name / f"{i}.png")
    return folder


@pytest.fixture(autouse=True)
def offline(folder, monkeypatch):
    monkeypatch.setattr(weights, "WEIGHTS", REGISTRY)
    monkeypatch.setattr(Weights, "build", lambda self, classes=7: models.create(self.arch, classes, {"width": 8}))
    monkeypatch.setattr(loading, "fetch", lambda url: folder / url)


def run(*words):
    return exit_code(program.main, [str(word) for word in words])


def last_line(capsys, *words):
    assert run(*words) == 0
    return capsys.readouterr().out.splitlines()[-1]


def fails(capsys, *words):
    """The one line it ends with."""
    assert run(*words) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1, err
    return err


@no_grad()
def expected(folder, members, side, crops):
    """(top-1, top-5) in %: picture by picture, with Pillow's own resizing, and probabilities averaged by hand."""
    networks, ranks = [network(*member) for member in members], []
    for label, name in enumerate(CLASSES):
        for path in sorted((folder / "pictures" / "val" / name).iterdir()):
            image = Image.open(path)
            width = int(image.width * side / image.height)  # which is the shorter side
            image = image.resize((width, side), Image.Resampling.BILINEAR)
            views = []
            for view in crops(image):
                pixels = ChannelMeanStd.imagenet()(np.asarray(view).transpose(2, 0, 1)[None])
                for model in networks:
                    scores = model(Tensor(pixels)).numpy()[0].astype(np.float64)
                    views.append(np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum())
            ranks.append(np.argsort(-np.mean(views, axis=0)).tolist().index(label))
    return 100 * np.mean(np.array(ranks) < 1), 100 * np.mean(np.array(ranks) < 5)


def centre(image):
    left, top = round((image.width - 32) / 2), round((image.height - 32) / 2)
    return [image.crop((left, top, left + 32, top + 32))]


def mirrored(image):
    return [image, image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]


ONE, TWO, OTHER = SEEDS.values()


@pytest.mark.parametrize(
    ("words", "members", "side", "crops"),
    [
        ("resnet20:IMAGENET1K_V1", [ONE], 40, centre),
        ("resnet20", [TWO], 36, centre),
        ("resnet20 --shorter-side 40", [TWO], 40, centre),
        ("resnet20 --scales 44", [TWO], 44, centre),
        ("resnet32 resnet20", [OTHER, TWO], 40, centre),
        ("resnet20 resnet32", [TWO, OTHER], 36, centre),
        ("resnet32 --tta dense", [OTHER], 40, mirrored),
    ],
)
def test_against_a_loop(folder, capsys, words, members, side, crops):
    names = words.split(" --")[0].replace(" ", " + ")
    line = last_line(capsys, folder / "pictures", *words.split(), "-b", 5)
    top1, top5 = expected(folder, members, side, crops)
    views = "dense" if crops is mirrored else "1 crop"
    assert line == f"{names}, 14 pictures, {views} at {side} pixels: top-1 {top1:.3f} %  top-5 {top5:.3f} %"


def test_the_cases_above_differ(folder):
    """Else the loop would agree with anything."""
    cases = [([ONE], 40), ([TWO], 36), ([TWO], 40), ([TWO], 44), ([OTHER], 40), ([OTHER, TWO], 40), ([TWO, OTHER], 36)]
    found = [expected(folder, *case, centre) for case in cases]
    assert len(set(found)) >= 6 and all(0 < top1 < top5 < 100 for top1, top5 in found), found


def test_ten_crops_at_several_scales_of_a_flat_folder(folder, capsys):
    words = ["resnet20", "--tta", "10crop", "--scales", "32", "40", "-j", "0"]
    line = last_line(capsys, folder / "pictures" / "val", *words)
    assert line.startswith("resnet20, 14 pictures, 10crop at 32, 40 pixels: top-1 ")


def test_the_published_figures_stand_beside_the_same_test_only(folder, capsys, monkeypatch):
    result = Scores()
    result.load_state_dict({"loss": [1.0, 50_000], "top1": [3_575_100, 50_000], "top5": [4_562_650, 50_000]})
    monkeypatch.setattr(program, "evaluate", lambda *args, **options: result)
    pictures, ours = folder / "pictures", "top-1 71.502 %  top-5 91.253 %"
    line = last_line(capsys, pictures, "resnet20:IMAGENET1K_V1")
    assert line == (
        f"resnet20:IMAGENET1K_V1, 50,000 pictures, 1 crop at 40 pixels: {ours}  (published: 71.500, 91.250)"
    )
    assert "(published: 72.000, 92.000)" in last_line(capsys, pictures, "resnet20", "--scales", "36")
    for words in (
        "resnet20 resnet32",
        "resnet20 --shorter-side 40",
        "resnet20 --tta 10crop",
        "resnet20 --scales 36 40",
    ):
        assert last_line(capsys, pictures, *words.split()).endswith(ours)
    result.averages["loss"].count = 49_999
    assert last_line(capsys, pictures, "resnet20").endswith(ours)


def test_a_file_of_ones_own(torch, folder, tmp_path, capsys, monkeypatch):
    """It gives what the same weights give by their name, and is none of the published ones."""
    tensors = {key: torch.tensor(t.numpy()) for key, t in network(*TWO).state_dict().items()}
    path = tmp_path / "mine.pth"
    path.write_bytes(save(torch, tensors))
    pictures = folder / "pictures"
    by_name, of_file = (last_line(capsys, pictures, word) for word in ("resnet20", f"resnet20:{path}"))
    assert of_file == by_name.replace("resnet20,", f"resnet20:{path},")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert last_line(capsys, pictures, "resnet20:~/mine.pth").split(", ")[1:] == by_name.split(", ")[1:]
    result = Scores()
    result.update(1.0, np.zeros((50_000, 7)), np.zeros(50_000, np.int64))
    monkeypatch.setattr(program, "evaluate", lambda *args, **options: result)
    assert "published" not in last_line(capsys, pictures, f"resnet20:{path}")


def test_dense_is_fully_convolutional(folder, capsys):
    """ResNets give the same without it; AlexNet needs pictures that are large enough."""
    err = fails(capsys, folder / "pictures", "resnet20", "alexnet", "--tta", "dense", "--scales", "66")
    assert "alexnet: trained on 64 pixels, it cannot do --tta dense" in err and "smaller than the 6 x 6" in err
    assert "14 pictures, 10crop at 66 pixels" in last_line(capsys, folder / "pictures", "alexnet", "--tta", "10crop")


@pytest.mark.parametrize("names", [CLASSES[:2], [*CLASSES, "n07"]], ids=len)
def test_another_number_of_classes(folder, tmp_path, capsys, names):
    for name in names:
        (tmp_path / "val" / name).mkdir(parents=True)
        Image.new("RGB", (40, 40)).save(tmp_path / "val" / name / "0.png")
    message = f"{tmp_path / 'val'} must have a folder for each of the 7 classes of resnet32; it has {len(names)}"
    assert message in fails(capsys, tmp_path, "resnet32", "resnet20")


def test_errors(folder, tmp_path, capsys):
    pictures = folder / "pictures"
    assert "there is no such folder" in fails(capsys, tmp_path / "nowhere", "resnet20")
    assert "no weights for 'vgg9', only for" in fails(capsys, pictures, "vgg9")
    err = fails(capsys, pictures, "resnet32", "resnet20:mine.pth")
    assert "no weights 'mine.pth'; it has IMAGENET1K_V1, IMAGENET1K_V2" in err and "there is no such file" in err
    err = fails(capsys, pictures, f"resnet20:{folder / 'one.npz'}")
    assert "one.npz is a checkpoint" in err and "--evaluate --resume" in err
    (tmp_path / "page.pth").write_text("<html>not found</html>")
    assert "page.pth holds no weights" in fails(capsys, pictures, f"resnet20:{tmp_path / 'page.pth'}")
    assert "--scales 31" in fails(capsys, pictures, "resnet20", "--scales", "40", "31")
    assert "--shorter-side 31" in fails(capsys, pictures, "resnet20", "--shorter-side", "31")


def test_nothing_is_fetched_for_a_folder_or_a_name_that_is_wrong(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(loading, "fetch", None)
    fails(capsys, tmp_path / "nowhere", "resnet20")
    fails(capsys, folder / "pictures", "resnet20", "resnet32:IMAGENET1K_V2")
    fails(capsys, folder / "pictures", "resnet20", "--scales", "31")


def test_unreadable_pictures(folder, tmp_path, capsys):
    for name in CLASSES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.png").write_bytes((folder / "pictures" / "val" / name / "0.png").read_bytes())
    bad = tmp_path / CLASSES[1] / "bad.jpg"
    bad.write_text("no picture")
    assert run(tmp_path, "resnet20") == 0
    skipped, line = capsys.readouterr().out.splitlines()
    assert skipped.startswith(f"skipped an unreadable picture: {bad}: ") and ", 7 pictures, " in line


def test_usage(capsys):
    for words in (["DIR"], ["DIR", "resnet20", "--scales", "40", "--shorter-side", "40"], ["DIR", "a", "--tta", "5"]):
        with pytest.raises(SystemExit) as stop:
            program.main(words)
        assert stop.value.code == 2
    capsys.readouterr()
    with pytest.raises(SystemExit):
        program.main(["--help"])
    assert "that of the first WEIGHTS" in " ".join(capsys.readouterr().out.split())

"""The names of pictures in a folder in the layout of the PASCAL VOC challenge, which lists those of each split."""

from pathlib import Path

from minicnn.errors import SettingError

LAYOUT = "give a folder in VOC's layout, usually VOCdevkit/VOC2007 or VOCdevkit/VOC2012"


def voc_names(folder: Path, task: str, split: str) -> list[str]:
    """The first word of each line of DIR/ImageSets/<task>/<split>.txt; task: "Main", "Segmentation".

    SettingError if the file cannot be read, names nothing, or names what is no picture's name.
    """
    path = folder / "ImageSets" / task / f"{split}.txt"
    try:
        names = [line.split()[0] for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"{path} cannot be read: {error}; {LAYOUT}") from error
    if wrong := [name for name in names if Path(name).name != name]:
        raise SettingError(f"{path}: {wrong[0]!r} is no name of a picture; write 2007_000032, for example")
    if not names:
        raise SettingError(f"{path} names no picture; write a name on each line")
    return names

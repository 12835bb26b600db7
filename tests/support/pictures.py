"""Pictures of one colour, and folders of them."""

from PIL import Image


def picture(path, color=(200, 100, 50), size=(12, 10)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path)
    return path


def flat_folder(root, counts):
    for name, count in counts.items():
        for k in range(count):
            picture(root / name / f"{k:03d}.png")
    return root

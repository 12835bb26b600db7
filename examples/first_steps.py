"""A first program: a small network learns to tell ten kinds of texture apart. It takes less than a minute."""

import minicnn
from minicnn import functional as F
from minicnn import nn, optim
from minicnn.data import CenterCrop, Compose, DataLoader, ImageFolder, RandomCrop, ResizeShorter, draw_sample

EPOCHS = 6
minicnn.manual_seed(0)  # the same weights to start with, every time

folder = draw_sample()  # train/<class>/*.JPEG and val/<class>/*.JPEG, drawn the first time; yours would do as well
train_set, val_set = ImageFolder(folder / "train"), ImageFolder(folder / "val")
augment, centre = Compose([ResizeShorter(40), RandomCrop(32)]), Compose([ResizeShorter(40), CenterCrop(32)])
train_loader = DataLoader(train_set, batch_size=32, shuffle=True, transform=augment, num_workers=2)
val_loader = DataLoader(val_set, batch_size=100, transform=centre, num_workers=2)


def block(channels, out):  # half the height, half the width
    return nn.Sequential(nn.Conv2d(channels, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU(), nn.MaxPool2d(2))


features = block(3, 16), block(16, 32), block(32, 64)  # images (N, 3, 32, 32) -> (N, 64, 4, 4)
model = nn.Sequential(*features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))  # -> scores (N, 10)
optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS * len(train_loader))  # the steps become smaller

for epoch in range(EPOCHS):
    model.train()
    for images, labels in train_loader:  # the next epoch, in an order of its own
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()  # the gradient of each weight
        optimizer.step()  # each weight, a little downhill
        schedule.step()

    model.eval()
    with minicnn.no_grad():
        correct = sum((model(images).argmax(1) == labels).sum().item() for images, labels in val_loader)
    print(f"epoch {epoch + 1}: loss {loss.item():.3f}, {100 * correct / len(val_set):.1f} % of new pictures right")
minicnn.save(model.state_dict(), "first_steps.npz")

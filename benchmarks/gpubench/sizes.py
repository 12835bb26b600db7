"""The sizes that kernels are called with, in three lists.

tiny    a few numbers each, for the emulator and the simulator; what they are made for is to reach every kernel
check   sizes that are multiples of nothing, larger than a block, and every option
timed   layers of AlexNet (batch 128) and of ResNets (batch 64), and large matrices
"""

from . import cases


def tiny():
    products = cases.linears(2, 3, 4)
    grouped = cases.convolutions("grouped", (1, 4, 4, 5), (4, 2, 2, 3), padding=1, groups=2, rungs=True)
    fused = cases.with_relu("padded", (1, 2, 4, 5), (4, 2, 2, 3), 1, 1)
    images = [
        *cases.elementwise((1, 2, 3, 3)), *cases.batch_norms((2, 8, 2, 2)),
        *cases.pools((1, 2, 4, 5), (2, 3), (2, 1), (1, 1)),
        *cases.norms_across_channels((1, 6, 2, 2)), *cases.resizings((1, 2, 2, 3), (3, 4), "bilinear"),
    ]  # fmt: skip
    many_channels = cases.convolutions("many channels", (1, 72, 2, 3), (72, 72, 1, 1))
    many_positions = cases.convolutions("many positions", (1, 1, 16, 33), (1, 1, 1, 1))
    return [
        *cases.elementwise((2, 5)), *cases.batch_norms((2, 2, 3)),
        *cases.pools((1, 2, 4, 5), (2, 3), (2, 1), (1, 1)), *cases.pools((1, 1, 17, 17), (17, 17), (1, 1), (0, 0)),
        *cases.norms_across_channels((1, 6, 2)), *cases.norms_across_channels((1, 20, 2), 19), *cases.losses(3, 4),
        *cases.paddings((1, 2, 2, 3), ((0, 0), (0, 1), (1, 0), (-1, 2))),
        *cases.resizings((1, 2, 2, 3), (3, 4), "bilinear"),
        *products, *cases.ladder(3, 4, 5), *grouped, *cases.transposed("doubled", (1, 2, 2, 3), (2, 3, 2, 2), 2, 0),
        *[case for case in many_positions if case.op == "conv2d_grad_weight"],
        *cases.rounded(products, ["tf32"]), *cases.rounded(grouped, ["float16"]), *cases.updates([(3,), (2, 2)]),
        *fused, *cases.casts((1, 2, 3, 4)), *cases.casts((3, 5)),
        *cases.in_bfloat16([*products, *grouped, *fused, *images]),
        *cases.on_hopper(grouped), *cases.in_bfloat16(many_channels),
    ]  # fmt: skip


def check():
    products = cases.linears(37, 301, 129)
    layers = [
        *cases.convolutions("AlexNet conv1", (2, 3, 224, 224), (64, 3, 11, 11), 4, 2, rungs=True),
        *cases.convolutions("ResNet 3x3 stride 2", (3, 64, 29, 29), (128, 64, 3, 3), 2, 1, rungs=True),
        *cases.with_relu("ResNet 3x3", (3, 64, 15, 13), (72, 64, 3, 3), 1, 1),
        *cases.convolutions("groups, dilation", (2, 6, 17, 23), (10, 3, 3, 2), 1, ((2, 0), (1, 3)), 2, 2, rungs=True),
    ]
    images = [
        *cases.elementwise((3, 7, 31, 37)), *cases.batch_norms((5, 7, 13, 11)), *cases.batch_norms((4, 64, 9, 7)),
        *cases.pools((3, 5, 31, 29), (3, 3), (2, 2), (1, 1)), *cases.norms_across_channels((3, 13, 11, 7)),
    ]  # fmt: skip
    return [
        *images, *cases.batch_norms((300, 17)), *cases.pools((2, 3, 23, 29), (2, 3), (3, 1), (1, 0)),
        *cases.pools((2, 2, 40, 41), (17, 17), (5, 5), (8, 8)),
        *cases.norms_across_channels((2, 3, 50)), *cases.norms_across_channels((2, 30, 50), 25),
        *cases.resizings((3, 5, 31, 29), (62, 40), "nearest"), *cases.resizings((3, 5, 31, 29), (20, 77), "bilinear"),
        *cases.paddings((3, 5, 31, 29), ((0, 0), (0, 0), (2, 1), (-3, 4))),
        *cases.paddings((2, 3, 5, 7, 11, 13), ((1, 0), (0, 2), (1, -1), (2, 0), (0, 1), (-1, 1))),
        *cases.losses(67, 1003), *cases.losses(5, 3), *products, *cases.linears(1, 517, 3),
        *cases.ladder(131, 137, 139), *cases.ladder(1, 300, 67), *layers,
        *cases.convolutions("AlexNet conv2", (2, 64, 27, 27), (192, 64, 5, 5), 1, 2, rungs=True),
        *cases.convolutions("ResNet 1x1 stride 2", (3, 64, 28, 28), (128, 64, 1, 1), 2, rungs=True),
        *cases.convolutions("depthwise", (2, 35, 13, 11), (35, 1, 3, 3), 1, 1, 1, 35, rungs=True),
        *cases.transposed("groups, padding", (2, 6, 17, 13), (6, 5, 4, 4), 2, 1, 2),
        *cases.casts((3, 7, 31, 37)), *cases.casts((2, 35, 13, 11)), *cases.casts((300, 17)),
        *cases.in_bfloat16([*images, *products, *layers]), *cases.on_hopper(layers),
        *cases.rounded([*products, *layers]), *cases.updates([(300, 7), (5,), (1, 1), (64, 3, 11, 11)]),
    ]  # fmt: skip


def timed():
    activations = (128, 64, 55, 55)
    layers = [
        *cases.convolutions("AlexNet conv3", (128, 192, 13, 13), (384, 192, 3, 3), 1, 1),
        *cases.convolutions("ResNet 3x3, 64 of 56x56", (64, 64, 56, 56), (64, 64, 3, 3), 1, 1),
        *cases.with_relu("ResNet 3x3, 64 of 56x56", (64, 64, 56, 56), (64, 64, 3, 3), 1, 1),
        *cases.convolutions("ResNet 3x3, 256 of 14x14", (64, 256, 14, 14), (256, 256, 3, 3), 1, 1),
        *cases.convolutions("ResNet 1x1, 256 to 64 of 56x56", (64, 256, 56, 56), (64, 256, 1, 1)),
        *cases.linears(128, 9216, 4096),
    ]
    images = [
        *cases.elementwise(activations), *cases.batch_norms((64, 256, 56, 56)),
        *cases.pools(activations, (3, 3), (2, 2), (0, 0)), *cases.norms_across_channels(activations),
    ]  # fmt: skip
    return [
        *cases.ladder(4096, 4096, 4096),
        *cases.convolutions("AlexNet conv2", (128, 64, 27, 27), (192, 64, 5, 5), 1, 2, rungs=True),
        *cases.convolutions("AlexNet conv1", (128, 3, 224, 224), (64, 3, 11, 11), 4, 2), *layers,
        *images, *cases.resizings(activations, (110, 110), "bilinear"),
        *cases.paddings(activations, ((0, 0), (0, 0), (1, 1), (1, 1))), *cases.losses(65536, 1000),
        *cases.transposed("FCN, 21 maps to eight times 64x64", (16, 21, 64, 64), (21, 21, 16, 16), 8, 4),
        *cases.updates([(4096, 9216), (4096, 4096), (1000, 4096), (384, 192, 3, 3), (4096,)]),
        *cases.rounded(layers, ["tf32"]), *cases.casts(activations), *cases.in_bfloat16([*layers, *images]),
        *cases.on_hopper(layers),
    ]  # fmt: skip


LISTS = {"tiny": tiny, "check": check, "timed": timed}

"""A step of PyTorch's: either precision, either memory layout, eager or compiled.

bfloat16    training: torch.autocast over the network and the loss, float32 weights. Inference: the network itself in
            bfloat16 (as .to(torch.bfloat16) makes it), which rounds the weights once, and not in every call
compiled    torch.compile, which needs a C++ compiler. Inference: with the weights "frozen", so that batch norm is
            folded into the convolution before it, and weights are packed once
"""

import functools

import torch
import torch._inductor.config
import torchvision

from .sides import SGD, LeftOut, batch, created, training_step, variables

LAYOUTS = {"NCHW": torch.contiguous_format, "channels-last": torch.channels_last}


def prepare(settings, precision, layout, compiled):
    torch.set_num_threads(settings["threads"])
    torch.manual_seed(0)
    images, labels = map(torch.from_numpy, batch(settings))
    model = created(torchvision.models, settings).to(memory_format=LAYOUTS[layout])
    images = images.to(memory_format=LAYOUTS[layout])
    run = torch.compile(model) if compiled else model
    if settings["task"] == "train":
        optimizer, loss = torch.optim.SGD(model.parameters(), **SGD), torch.nn.functional.cross_entropy
        autocast = functools.partial(torch.autocast, "cpu", torch.bfloat16, enabled=precision == "bfloat16")
        step = training_step(run, optimizer, loss, images, labels, autocast)
    else:
        step = inference_step(model.eval(), run, images, getattr(torch, precision))
    return compile_now(step) if compiled else step


def inference_step(model, run, images, dtype):
    torch._inductor.config.freezing = True
    model.to(dtype)
    images = images.to(dtype)

    @torch.no_grad()
    def infer():
        return run(images).max().item()

    return infer


def compile_now(step):
    """The step, once it has been compiled; LeftOut if that fails."""
    try:
        step()
    except torch._dynamo.exc.TorchDynamoException as error:  # no C++ compiler, or one that fails
        lines = str(error).strip().splitlines()
        raise LeftOut(f"torch.compile: {lines[0] if lines else type(error).__name__}") from error
    return step


def describe(settings):
    """oneDNN prints more, which turns.py takes from this process's output: the convolutions that it chooses."""
    torch.set_num_threads(settings["threads"])
    x, weight = torch.zeros(16, 64, 14, 14), torch.zeros(64, 64, 3, 3)
    with torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON):
        for dtype in (torch.float32, torch.bfloat16):
            torch.conv2d(x.to(dtype), weight.to(dtype), padding=1)
    return {
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "oneDNN": f"{'on' if torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled else 'off'}",
        "bfloat16 of the processor's own": str(torch.ops.mkldnn._is_mkldnn_bf16_supported()),
        "vectors": torch.backends.cpu.get_cpu_capability(),
        "config": torch.__config__.show(),
        "parallel_info": torch.__config__.parallel_info(),
        **variables(),
    }

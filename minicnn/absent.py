"""What PyTorch has and minicnn has not, on purpose, and what to write instead: so say the errors, and docs/pytorch.md.

minicnn.  the package    autograd.  nn.  F.  init.  utils.  optim.  lr_scheduler.  cuda.  data.  distributed.  its parts
Tensor.   methods of a Tensor    Module.   methods of a Module    Conv2d(padding_mode=)   a keyword
"""

from collections.abc import Iterable
from typing import Any, TypeVar

C = TypeVar("C", bound=type)

ABSENT = (  # (names, what to write instead, or why)
    # Layers and functions
    ("nn.RNN nn.LSTM nn.GRU nn.Embedding nn.MultiheadAttention nn.Transformer nn.TransformerEncoderLayer",
     "networks here are convolutional; there are no layers for sequences"),
    ("nn.Conv1d nn.MaxPool1d nn.AvgPool1d nn.BatchNorm1d nn.Conv3d nn.MaxPool3d nn.BatchNorm3d F.conv1d F.conv3d",
     "layers take pictures (N, C, H, W); a sequence is a picture of height 1: x.unsqueeze(2), kernel_size=(1, K)"),
    ("F.upsample nn.UpsamplingNearest2d nn.UpsamplingBilinear2d nn.PixelShuffle F.pixel_shuffle",
     "nn.Upsample, F.interpolate and nn.ConvTranspose2d make pictures larger"),
    ("nn.LayerNorm nn.GroupNorm nn.InstanceNorm2d F.layer_norm F.group_norm F.instance_norm",
     "the normalisations here are nn.BatchNorm2d and nn.LocalResponseNorm"),
    ("nn.GELU nn.SiLU nn.ELU nn.SELU nn.PReLU nn.Hardswish nn.Softplus nn.Mish F.gelu F.silu F.elu F.selu F.prelu "
     "F.hardswish F.softplus F.mish Tensor.erf",
     "ReLU, LeakyReLU, Sigmoid and Tanh are here; any other is a minicnn.Function of ten lines (docs/gradients.md)"),
    ("nn.Dropout2d F.dropout2d nn.AlphaDropout", "nn.Dropout zeroes single values"),
    ("nn.AdaptiveMaxPool2d F.adaptive_max_pool2d", "x.flatten(2).max(2).values is the maximum of each channel"),
    ("nn.HuberLoss F.huber_loss nn.KLDivLoss F.kl_div",
     "cross_entropy, nll_loss, mse_loss, l1_loss and smooth_l1_loss are here; write others from operators"),
    ("nn.BCELoss nn.BCEWithLogitsLoss F.binary_cross_entropy F.binary_cross_entropy_with_logits",
     "for two classes, F.cross_entropy with two scores per item"),
    ("F.one_hot", "minicnn.eye(classes)[labels]"),
    ("F.normalize", "x / x.norm(2, dim, keepdim=True)"),
    ("F.cosine_similarity", "(a * b).sum(dim) / (a.norm(2, dim) * b.norm(2, dim))"),
    ("F.unfold nn.Unfold F.fold nn.Fold", "F.conv2d does not need it; ops/windows.py shows the matrix of windows"),
    ("F.relu_ Tensor.relu_", "F.relu(x, inplace=True)"),
    ("nn.ReflectionPad2d nn.ReplicationPad2d",
     "nn.ZeroPad2d pads with zeros, minicnn.cat of slices of x with anything else"),
    ("nn.DataParallel distributed.init_process_group distributed.is_available distributed.is_initialized "
     "distributed.get_rank distributed.get_world_size distributed.all_reduce distributed.barrier",
     "mpiexec -n 4 starts four processes; distributed.world() knows them, distributed.DataParallel(model) is what goes "
     "around a step (docs/scale.md)"),
    ("utils.parameters_to_vector utils.vector_to_parameters",
     "minicnn.cat([p.reshape(-1) for p in model.parameters()])"),
    ("utils.clip_grad_norm utils.weight_norm utils.spectral_norm utils.prune utils.parametrize utils.parametrizations",
     "nn.utils has clip_grad_norm_ and clip_grad_value_"),
    ("nn.LazyLinear nn.LazyConv2d", "sizes are given when a layer is made"),
    ("init.trunc_normal_ init.orthogonal_ init.eye_ init.dirac_ init.sparse_",
     "nn.init has normal_, uniform_, constant_, zeros_, ones_, xavier_*, kaiming_*, bilinear_; others: "
     "weight.detach()[...] = values"),
    ("Conv2d(padding_mode=)", "the padding is zeros; for any other, pad before it, by minicnn.cat of slices of x"),
    ("Conv2d(device=) Linear(device=) BatchNorm2d(device=)", 'make it, then .to("cuda")'),
    ("Conv2d(dtype=) Linear(dtype=) BatchNorm2d(dtype=)", "make it, then .to(minicnn.float64)"),
    ("BatchNorm2d(track_running_stats=)", "statistics are tracked; .train() uses those of the batch"),
    ("SyncBatchNorm(process_group=) SyncBatchNorm(track_running_stats=)", "they are of all processes, and tracked"),
    ("BatchNorm2d.num_batches_tracked", "nothing counts batches: momentum is a number"),
    ("MaxPool2d(return_indices=) AvgPool2d(divisor_override=)", "nothing here needs it"),
    ("CrossEntropyLoss(size_average=) CrossEntropyLoss(reduce=)", 'reduction="mean", "sum" or "none"'),
    # Modules
    ("Module.half Module.bfloat16 Tensor.half minicnn.half minicnn.float16",
     'weights are float32 or float64; minicnn.set_precision("bfloat16") computes in bfloat16'),
    ("Module.type", "module.to(minicnn.float64)"),
    ("Module.get_parameter", "dict(module.named_parameters())[name]"),
    ("Module.get_buffer", "dict(module.named_buffers())[name]"),
    ("Module.register_full_backward_hook Module.register_backward_hook Module.register_full_backward_pre_hook",
     "y.retain_grad() on what a forward hook sees leaves its gradient in y.grad"),
    ("Module.compile minicnn.compile minicnn.jit Module.share_memory minicnn.multiprocessing",
     "ops run as they are called; the fast tier compiles its kernels by itself"),
    ("Module.register_load_state_dict_post_hook Module.register_state_dict_pre_hook", "change the dict by hand"),
    # Tensors
    ("Tensor.register_hook",
     "x.retain_grad() keeps the gradient in x.grad; of a leaf, register_post_accumulate_grad_hook(hook) may change it"),
    ("Tensor.new_zeros Tensor.new_ones Tensor.new_full Tensor.new_empty Tensor.new_tensor",
     "minicnn.zeros(size, dtype=x.dtype, device=x.device)"),
    ("Tensor.byte", "x.to(minicnn.uint8)"),
    ("Tensor.stride Tensor.storage_offset Tensor.is_contiguous Tensor.storage Tensor.data_ptr",
     "x.data is the array itself, with NumPy's .strides and .flags"),
    ("Tensor.resize_ Tensor.squeeze_ Tensor.unsqueeze_ Tensor.t_ Tensor.transpose_ Tensor.detach_",
     "make a new Tensor: x = x.reshape(...), x.squeeze(), x.T, x.detach()"),
    ("Tensor.normal_ Tensor.uniform_", "nn.init.normal_(x, mean, std), nn.init.uniform_(x, a, b)"),
    ("Tensor.neg_ Tensor.abs_ Tensor.exp_ Tensor.sqrt_ Tensor.sigmoid_ Tensor.tanh_ Tensor.round_ Tensor.floor_",
     "x = x.exp(), or in x's own memory x[...] = x.exp()"),
    ("Tensor.masked_fill_ Tensor.index_fill_ Tensor.scatter_ Tensor.scatter_add_ Tensor.index_add_",
     "x[index] = value"),
    ("Tensor.gather minicnn.gather Tensor.take_along_dim minicnn.take_along_dim",
     "x[minicnn.arange(len(x)), labels] takes one element of each row"),
    ("Tensor.index_select minicnn.index_select Tensor.masked_select minicnn.masked_select minicnn.take Tensor.take "
     "Tensor.select Tensor.narrow", "x[index], x[:, index], x[mask]; x.reshape(-1)[index] counts over all axes"),
    ("Tensor.repeat Tensor.tile Tensor.repeat_interleave minicnn.tile minicnn.repeat_interleave",
     "x.expand(...) repeats axes of length 1, minicnn.cat([x] * times, dim) others"),
    ("Tensor.broadcast_to minicnn.broadcast_to", "x.expand(size)"),
    ("Tensor.roll minicnn.roll", "minicnn.cat((x[:, -k:], x[:, :-k]), 1)"),
    ("Tensor.unflatten Tensor.reshape_as Tensor.ndimension", "x.reshape(...), x.view_as(other), x.ndim"),
    ("Tensor.mT Tensor.H Tensor.swapaxes Tensor.movedim minicnn.swapaxes minicnn.movedim",
     "x.transpose(-1, -2), x.permute(...)"),
    ("minicnn.vstack minicnn.hstack minicnn.concat minicnn.concatenate", "minicnn.cat(tensors, dim)"),
    ("minicnn.tril minicnn.triu minicnn.diag minicnn.meshgrid minicnn.histc Tensor.histc minicnn.bincount "
     "minicnn.unique Tensor.unique Tensor.nonzero minicnn.nonzero Tensor.count_nonzero minicnn.searchsorted",
     "minicnn.from_numpy(np.tril(x)): NumPy's functions take Tensors, and give arrays, outside the graph"),
    ("Tensor.median minicnn.median Tensor.quantile minicnn.quantile Tensor.kthvalue Tensor.mode",
     "np.median(x), np.quantile(x, q), outside the graph; in it, x.sort(dim).values[...]"),
    ("Tensor.prod minicnn.prod Tensor.cumprod minicnn.cumprod", "for positive numbers, x.log().sum().exp()"),
    ("Tensor.amax Tensor.amin minicnn.amax minicnn.amin", "x.max(dim).values, x.min(dim).values, one axis at a time"),
    ("Tensor.logsumexp minicnn.logsumexp", "(x - x.log_softmax(dim)).mean(dim)"),
    ("Tensor.reciprocal Tensor.rsqrt minicnn.reciprocal minicnn.rsqrt", "1 / x, x ** -0.5"),
    ("Tensor.log2 Tensor.log10 Tensor.log1p Tensor.expm1 minicnn.log2 minicnn.log10 minicnn.log1p minicnn.expm1",
     "x.log() / math.log(2), (1 + x).log(), x.exp() - 1"),
    ("Tensor.sin Tensor.cos Tensor.tan minicnn.sin minicnn.cos minicnn.tan minicnn.erf minicnn.polar minicnn.complex64",
     "only what networks for pictures need is here; np.sin(x.numpy()) is outside the graph"),
    ("Tensor.clamp_min Tensor.clamp_max", "x.clamp(min=...), x.clamp(max=...)"),
    ("Tensor.lerp minicnn.lerp", "a + weight * (b - a)"),
    ("minicnn.dot minicnn.mv minicnn.bmm minicnn.addmm minicnn.outer minicnn.einsum Tensor.dot Tensor.mv Tensor.bmm",
     "a @ b, of vectors, matrices and stacks of them; a[:, None] * b is the outer product"),
    ("minicnn.linalg minicnn.fft minicnn.special minicnn.sparse minicnn.quantize_per_tensor minicnn.quantization",
     "x.norm() and a @ b are here; else np.linalg and np.fft, outside the graph"),
    ("minicnn.logical_and minicnn.logical_or minicnn.logical_not minicnn.logical_xor minicnn.bitwise_not",
     "a & b, a | b, ~a, a ^ b"),
    ("minicnn.normal minicnn.bernoulli minicnn.multinomial", "minicnn.randn(...) * std + mean, minicnn.rand(...) < p"),
    # The rest
    ("minicnn.inference_mode", "minicnn.no_grad()"),
    ("minicnn.result_type minicnn.promote_types minicnn.set_default_dtype minicnn.get_default_dtype",
     "dtypes are not mixed; convert one of the two, as in x.to(minicnn.float64). New Tensors are float32"),
    ("minicnn.finfo minicnn.iinfo minicnn.pi minicnn.inf minicnn.nan", "np.finfo(x.dtype), math.pi, math.inf"),
    ("minicnn.set_num_threads minicnn.get_num_threads", "the environment variable MINICNN_THREADS"),
    ("minicnn.set_printoptions", "np.set_printoptions"),
    ("minicnn.use_deterministic_algorithms minicnn.backends", "leave it out: every op repeats bit for bit"),
    ("minicnn.seed minicnn.get_rng_state minicnn.set_rng_state minicnn.Generator",
     "minicnn.manual_seed(seed); minicnn.random.get_state() and set_state(state)"),
    ("minicnn.amp cuda.amp minicnn.autocast minicnn.set_float32_matmul_precision",
     'with minicnn.precision("bfloat16"): ... or "tf32"; minicnn.set_precision is for good. Losses need no scaling'),
    ("cuda.CUDAGraph cuda.graph", "minicnn.cudagraph.CudaGraph, or Trainer(graph=True): docs/gpu.md"),
    ("cuda.synchronize cuda.empty_cache cuda.memory_allocated cuda.device_count "
     "cuda.current_device cuda.set_device cuda.get_device_name cuda.manual_seed_all cuda.manual_seed",
     "one GPU, whose kernels .numpy() waits for; MINICNN_EMULATE_GPU=1 is one on the processor"),
    ("minicnn.vmap minicnn.func", "gradients are first-order, and of one number: loss.backward()"),
    ("autograd.grad autograd.functional autograd.gradgradcheck",
     "gradients are first-order: loss.backward() leaves them in x.grad, also of results after x.retain_grad()"),
    ("autograd.gradcheck", "minicnn.gradcheck"),
    ("autograd.set_detect_anomaly autograd.detect_anomaly autograd.profiler",
     "Trainer stops at the first loss that is not finite, and names the layer; Python's profilers see every op"),
    ("minicnn.FloatTensor minicnn.DoubleTensor minicnn.LongTensor minicnn.IntTensor minicnn.BoolTensor",
     "minicnn.tensor(data, dtype=minicnn.float32); of a size, minicnn.zeros(2, 3)"),
    ("minicnn.utils", "from minicnn.data import DataLoader"),
    ("data.transforms", "they are in minicnn.data itself: from minicnn.data import Compose, RandomCrop"),
    ("data.ToTensor data.PILToTensor data.ConvertImageDtype",
     "leave it out: DataLoader makes Tensors of pictures, float32 from 0 to 1"),
    ("data.RandomHorizontalFlip", "RandomFlip(p)"),
    ("data.CIFAR10 data.Flowers102", "train, test = cifar10(folder); train, val = flowers102(folder)"),
    ("data.RandomApply", "RandAugment and TrivialAugmentWide draw operations from a list"),
    ("data.Resize", "ResizeShorter(size), and a crop after it"),
    ("data.Sampler data.RandomSampler data.SequentialSampler data.SubsetRandomSampler data.WeightedRandomSampler "
     "data.BatchSampler", "DataLoader(shuffle=True), or Subset(dataset, order) in an order of your own"),
    ("data.DistributedSampler", "DataLoader(part=world().part): this rank's rows of each batch"),
    ("data.IterableDataset data.ChainDataset", "a data set has __len__ and __getitem__"),
    ("data.ConcatDataset", "np.concatenate the arrays, or write a Dataset whose __getitem__ looks into both"),
    ("minicnn.onnx", "minicnn.export.onnx(model, path, input_shape) writes an ONNX file"),
    ("minicnn.hub", "minicnn.pretrained reads weights of torch.save and torchvision"),
    ("SGD(maximize=) Adam(maximize=) AdamW(maximize=) RMSprop(maximize=)", "(-loss).backward()"),
    ("SGD(foreach=) Adam(foreach=) AdamW(foreach=) SGD(fused=) Adam(fused=) AdamW(fused=) Adam(capturable=) "
     "AdamW(capturable=) SGD(differentiable=) Adam(differentiable=) AdamW(differentiable=) RMSprop(foreach=) "
     "RMSprop(capturable=) RMSprop(differentiable=)",
     "leave it out: a step is always one pass over all parameters"),
    ("optim.Adagrad optim.Adadelta optim.Adamax optim.NAdam optim.LBFGS optim.Rprop optim.ASGD",
     "optim.SGD, Adam, AdamW, RMSprop and LARS are here; one of your own only needs param_groups, step() and "
     "zero_grad()"),
    ("lr_scheduler.ExponentialLR lr_scheduler.LambdaLR lr_scheduler.CyclicLR "
     "lr_scheduler.PolynomialLR lr_scheduler.CosineAnnealingWarmRestarts",
     'StepLR, MultiStepLR, CosineAnnealingLR, OneCycleLR, ReduceLROnPlateau and warm-up are here; others set '
     'group["lr"] by hand'),
)  # fmt: skip

PLACES = {"autograd": "minicnn.autograd", "nn": "minicnn.nn", "F": "minicnn.functional", "init": "minicnn.nn.init",
          "utils": "minicnn.nn.utils",
          "optim": "minicnn.optim", "lr_scheduler": "minicnn.optim.lr_scheduler", "cuda": "minicnn.cuda",
          "data": "minicnn.data", "distributed": "minicnn.distributed"}  # fmt: skip
INSTEAD = {name: instead for names, instead in ABSENT for name in names.split()}


def absent(place: str, name: str) -> AttributeError:
    """The error for a module, "nn" or "minicnn" ..., that was asked for a name that it has not."""
    module = PLACES.get(place, place)
    if instead := INSTEAD.get(f"{place}.{name}"):
        return AttributeError(f"{module}.{name} is not there on purpose: {instead}")
    return AttributeError(f"module {module!r} has no attribute {name!r}")


class Absent:
    """Stands in a class for a name of the table: asking for it is the AttributeError.

    Python looks here for this name only; a ``__getattr__`` would make every attribute of a Tensor slower to reach.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, owner: object, kind: type) -> Any:
        raise AttributeError(f"{self.name} is not there on purpose: {INSTEAD[self.name]}")


def with_absent_names(kind: C) -> C:
    """A class decorator: the names of the table that begin with the class's say what to write instead."""
    for name in INSTEAD:
        place, _, attribute = name.partition(".")
        if place == kind.__name__ and attribute:
            setattr(kind, attribute, Absent(name))
    return kind


def refuse_keywords(kind: type, keywords: Iterable[str]) -> None:
    """TypeError for a keyword that PyTorch's class of that name takes, and ours does not."""
    for keyword in keywords:
        if instead := INSTEAD.get(f"{kind.__name__}({keyword}=)"):
            raise TypeError(f"{kind.__name__}: {keyword} is not there on purpose: {instead}")

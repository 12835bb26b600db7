"""Settings of PyTorch's DataLoader that ours has not, and what to do instead."""

from collections.abc import Mapping
from typing import Any

NOT_HERE = {
    "sampler": "give the items in an order of your own, arrays[order], or shuffle=True; to ranks, part=world().part",
    "batch_sampler": "give batch_size=, shuffle= and drop_last=",
    "generator": "the order comes from seed=, a whole number",
    "prefetch_factor": "give prefetch=, how many batches are fetched ahead by all threads together",
    "worker_init_fn": "workers are threads, which share what is there; a transform is handed its generator",
    "multiprocessing_context": "workers are threads",
    "persistent_workers": "leave it out: workers are threads, and start at once",
    "pin_memory": "leave it out: images.to(device) moves a batch",
    "pin_memory_device": "leave it out: images.to(device) moves a batch",
    "timeout": "leave it out: a batch is waited for",
    "in_order": "leave it out: batches come in order",
}


def refuse_others(settings: Mapping[str, Any]) -> None:
    """TypeError for settings that are PyTorch's alone, unless they ask for nothing, and for those of nobody."""
    for name, value in settings.items():
        if name not in NOT_HERE:
            raise TypeError(f"DataLoader has no setting {name}=")
        if not (value is None or value is False):
            raise TypeError(f"DataLoader: {name}= is not built in; {NOT_HERE[name]}")

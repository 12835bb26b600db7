"""watch: look at what passes through the layers of a network, without changing it."""

import contextlib


@contextlib.contextmanager
def watch(model, callback, names=None):
    """``with watch(model, callback): model(x)`` calls callback(name, layer, x, y) after each layer y = layer(x).

    names: the dotted names, as in ``named_modules()``, of the modules to watch; without it, all layers, that is modules
    without modules of their own. ValueError for a name that the model does not have.
    """
    modules = dict(model.named_modules())
    if unknown := [name for name in names or () if name not in modules]:
        top = ", ".join(name for name in modules if name and "." not in name)
        raise ValueError(f"{type(model).__name__} has no layer {unknown[0]!r}; it has {top}, and what is in them")
    if names is None:
        names = [name for name, module in modules.items() if not list(module.children())]

    def watched(layer, name):
        forward = layer.forward

        def forward_and_call(x):
            y = forward(x)
            callback(name, layer, x, y)
            return y

        return forward_and_call

    layers = {modules[name]: name for name in names}
    try:
        for layer, name in layers.items():
            layer.forward = watched(layer, name)
        yield
    finally:
        for layer in layers:
            layer.__dict__.pop("forward", None)  # the class's own method is visible again


def output_of(model, name, x):
    """What the layer called `name` makes of `x`, a batch that enters the model; of a layer that is used several times,
    what it makes the first time. Nothing after it is computed. ValueError for a name that the model does not have."""
    return _first_pass(model, name, x)[1]


def input_of(model, name, x):
    """What the layer called `name` gets to see of `x`; otherwise like ``output_of``."""
    return _first_pass(model, name, x)[0]


class _Reached(Exception):
    """The layer has been reached; args: its input and its output."""


def _first_pass(model, name, x):
    def stop(name, layer, x, y):
        raise _Reached(x, y)

    try:
        with watch(model, stop, [name]):
            model(x)
    except _Reached as reached:
        return reached.args
    raise ValueError(f"{type(model).__name__} does not use its layer {name!r}")

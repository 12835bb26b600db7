"""Sequential: modules one after the other."""

from .module import Module


class Sequential(Module):
    """Feeds its input through the modules in order; they are named "0", "1", ... and can be indexed and sliced."""

    def __init__(self, *modules):
        super().__init__()
        for i, module in enumerate(modules):
            setattr(self, str(i), module)

    def forward(self, x):
        for module in self.children():
            x = module(x)
        return x

    def __len__(self):
        return len(self._modules)

    def __iter__(self):
        return self.children()

    def __getitem__(self, index):
        modules = list(self.children())
        return Sequential(*modules[index]) if isinstance(index, slice) else modules[index]

    def __setitem__(self, index, module):
        """Put another module in the place of one: ``model.classifier[6] = nn.Linear(4096, 10)``."""
        setattr(self, str(range(len(self))[index]), module)

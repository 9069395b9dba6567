"""Forward and backward pass of many perceptrons of one shape, written out.

Networks that take the same images share the matrix product of the first layer; the other layers are batched products.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def is_perceptron(model: nn.Module) -> bool:
    """Flatten, then linear layers with biases and ReLU (and dropout) between, and nothing else."""
    kinds, dropout = [type(m) for m in model.children()], [m.p for m in model.children() if isinstance(m, nn.Dropout)]
    between = [nn.Linear, nn.ReLU, nn.Dropout] if dropout else [nn.Linear, nn.ReLU]
    shape = [nn.Flatten, *between * ((len(kinds) - 2) // len(between)), nn.Linear]
    return kinds == shape and len(set(dropout)) < 2 and all(m.bias is not None for m in linear_layers(model))


def linear_layers(model: nn.Module) -> list[nn.Linear]:
    """All linear layers, in order."""
    return [m for m in model.modules() if isinstance(m, nn.Linear)]


class StackedPass:
    """Forward and backward pass of a stack for batches of one size: its buffers and all views of them, made once.

    Units are (networks, units, images), weights (networks, out, in), biases (networks, out, 1), all contiguous.
    runs: networks that take the same images, a slice for each. A call of torch takes about 1 µs, a view of a tensor or
    a factor that is no tensor as much again, so there are none of them in a step.
    """

    def __init__(
        self,
        weights: list[Tensor],
        biases: list[Tensor],
        weight_grads: list[Tensor],
        bias_grads: list[Tensor],
        runs: list[slice],
        images: int,
    ) -> None:
        shapes = [(*weight.shape[:2], images) for weight in weights]
        self.logits = weights[0].new_empty(shapes[-1])
        self.hidden, self.deltas = ([self.logits.new_empty(shape) for shape in s] for s in (shapes[:-1], shapes))
        out = [*self.hidden, self.logits]
        first = [biases[0], weights[0], out[0], self.deltas[0], weight_grads[0]]
        self.first = [tuple(tensor[run].flatten(0, 1) for tensor in first) for run in runs]
        self.up = list(zip(biases[1:], weights[1:], self.hidden, out[1:], strict=True))
        turned = [[tensor.transpose(1, 2) for tensor in tensors] for tensors in (weights[1:], self.hidden)]
        self.down = list(zip(self.deltas[1:], self.hidden, *turned, weight_grads[1:], self.deltas[:-1], strict=True))
        self.down.reverse()
        self.bias_sums = [(d.flatten(0, 1), g.flatten()) for d, g in zip(self.deltas, bias_grads, strict=True)]
        self.ones = self.logits.new_ones(images)
        self.answers = [self.deltas[-1][run] for run in runs]
        self.share = 1 / images
        self.targets = torch.eye(shapes[-1][1], dtype=self.logits.dtype, device=self.logits.device) * -self.share

    def forward(self, images: Sequence[Tensor], noise: Sequence[Tensor]) -> Tensor:
        """Logits (networks, classes, images) of images (images, inputs), one for each run of networks.

        noise: for dropout, factors of the units of each hidden layer.
        """
        for (bias, weight, out, *_), pixels in zip(self.first, images, strict=True):
            torch.addmm(bias, weight, pixels.t(), out=out)
        for layer, (bias, weight, hidden, out) in enumerate(self.up):
            hidden.relu_()
            if noise:
                hidden.mul_(noise[layer])
            torch.baddbmm(bias, weight, hidden, out=out)
        return self.logits.clone()

    def cross_entropy(self, labels: Sequence[Tensor]) -> None:
        """The gradient of the mean cross-entropy by the logits of the last forward pass, in the last of `deltas`."""
        torch.softmax(self.logits, 1, out=self.deltas[-1])
        for answers, its in zip(self.answers, labels, strict=True):
            torch.add(self.targets.index_select(1, its), answers, alpha=self.share, out=answers)

    def backward(self, images: Sequence[Tensor], noise: Sequence[Tensor]) -> None:
        """Gradients of weights and biases, from that of the logits in the last of `deltas`; uses up `hidden`."""
        for layer, (delta, hidden, weight_t, hidden_t, grad, below) in enumerate(self.down, 1):
            torch.bmm(delta, hidden_t, out=grad)
            torch.bmm(weight_t, delta, out=below)
            if noise:
                below.mul_(noise[-layer])
            below.mul_(hidden.sign_())
        for (*_, delta, grad), pixels in zip(self.first, images, strict=True):
            torch.mm(delta, pixels, out=grad)
        for delta, total in self.bias_sums:
            torch.mv(delta, self.ones, out=total)

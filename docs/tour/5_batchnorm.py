# %% [markdown]
# # 5. The gradient of batch norm, on paper and checked
#
# Batch normalisation shifts and stretches the values of a channel so that their mean is 0 and their variance is 1. The
# forward pass is four short formulas. The backward pass has a name for being hard, as **every value of the batch takes
# part in every result**. Here it is derived twice: step by step, as a machine would, and on paper, where three lines
# are left. In the end it has a meaning that one can draw.

# %%
# Only where minicnn is not installed, as in Colab: write down where this page's repository is cloned from, then run.
REPOSITORY = ""  # @param {type: "string"}

import importlib.util
import subprocess
import sys

missing = [name for name in ("minicnn", "matplotlib") if importlib.util.find_spec(name) is None]
if missing:
    if not REPOSITORY:
        sys.exit(f"{missing[0]} is not installed: fill in REPOSITORY above, or run pip install -e . in its clone")
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", f"git+{REPOSITORY}"], check=True)

# %%
import matplotlib.pyplot as plt
import numpy as np

import minicnn
import minicnn.functional as F
from minicnn import Tensor, gradcheck

# %% [markdown]
# ## Forward
#
# One channel has $M$ values $x_1 \dots x_M$ in the batch: one for each pixel of each picture. With the sums over all
# $j$ from 1 to $M$, and a small $\epsilon$ that keeps the root away from 0:
#
# $$\mu = \frac1M \sum_j x_j \quad \sigma^2 = \frac1M \sum_j (x_j - \mu)^2 \quad s = 1 / \sqrt{\sigma^2 + \epsilon}$$
#
# $$\hat x_i = (x_i - \mu)\, s \qquad y_i = \gamma\, \hat x_i + \beta$$
#
# In the code $\mu$ is `mean`, $s$ is `inv_std`, $\hat x$ is `x_hat`, and $\gamma$ and $\beta$, which are learnt, are
# `weight` and `bias`. Channels know nothing of one another, so `x` is a matrix with a row for each value of the batch
# and a column for each channel: `(M, C)`.
#
# ## Backward, step by step
#
# Cut the forward pass into steps so small that each slope is known by heart: nine of them. Then go back through them,
# and for each step multiply what comes from behind by its slope. Two things need care, and both are in
# [chapter 1](1_backprop.ipynb):
#
# - `centred` is used twice (steps 3 and 7), and so is `x` (steps 1 and 2). **Gradients of several uses add up.**
# - Where one number is spread over all rows, as `mean` is in step 2, it is used $M$ times: its gradient is a **sum over
#   the rows**. Where all rows are summed into one number, that number's gradient goes back **to every row**.


# %%
class StagedBatchNorm(minicnn.Function):
    """Batch norm in training as nine steps, and the same nine backwards."""

    def forward(self, x, weight, bias, eps=1e-5):
        mean = x.mean(axis=0)  # 1
        centred = x - mean  # 2
        square = centred**2  # 3
        var = square.mean(axis=0)  # 4
        std = np.sqrt(var + eps)  # 5
        inv_std = 1 / std  # 6
        x_hat = centred * inv_std  # 7
        scaled = weight * x_hat  # 8
        y = scaled + bias  # 9
        self.save_for_backward(weight, centred, std, inv_std, x_hat)
        return y

    def backward(self, grad_y):
        weight, centred, std, inv_std, x_hat = self.saved
        count = len(grad_y)  # M
        grad_scaled, grad_bias = grad_y, grad_y.sum(axis=0)  # 9
        grad_x_hat, grad_weight = grad_scaled * weight, (grad_scaled * x_hat).sum(axis=0)  # 8
        grad_centred, grad_inv_std = grad_x_hat * inv_std, (grad_x_hat * centred).sum(axis=0)  # 7
        grad_std = grad_inv_std * -1 / std**2  # 6
        grad_var = grad_std / (2 * std)  # 5
        grad_square = grad_var / count * np.ones_like(x_hat)  # 4
        grad_centred = grad_centred + grad_square * 2 * centred  # 3: the second use of centred
        grad_x, grad_mean = grad_centred, -grad_centred.sum(axis=0)  # 2
        grad_x = grad_x + grad_mean / count  # 1: the second use of x
        return grad_x, grad_weight, grad_bias


rng = np.random.default_rng(0)
x, weight, bias = rng.normal(3, 2, (6, 4)), rng.normal(1, 0.5, 4), rng.normal(0, 1, 4)
print("gradcheck of the nine steps:", gradcheck(StagedBatchNorm.apply, [x, weight, bias]))

# %% [markdown]
# [gradcheck](../../minicnn/gradcheck.py) has moved each of the 6 · 4 + 4 + 4 inputs a little and looked at the result.
# The nine steps are right. They also make a new array as large as `x` in most of their lines, and keep two of them from
# the forward pass. Can it be said in fewer?
#
# ## Backward, on paper
#
# Write $g_i = \gamma\, \partial L / \partial y_i$ for the gradient that reaches $\hat x_i$. One input $x_i$ moves the
# loss in **three ways**, and its gradient is the sum of the three.
#
# **1. Straight through**, by its own $\hat x_i$, while $\mu$ and $s$ stand still:
#
# $$\frac{\partial \hat x_i}{\partial x_i} = s \qquad\Longrightarrow\qquad s\, g_i$$
#
# **2. By the mean.** If $x_i$ grows by 1, $\mu$ grows by $1/M$, and every $\hat x_j$ falls by $s$ times that:
#
# $$\frac{\partial \mu}{\partial x_i} = \frac1M, \quad \frac{\partial \hat x_j}{\partial \mu} = -s
# \qquad\Longrightarrow\qquad -\,s\, \frac1M \sum_j g_j$$
#
# (The mean stands in the variance, too. But $\partial \sigma^2 / \partial \mu = -\frac2M \sum_j (x_j - \mu) = 0$:
# around its mean, a variance does not move at first.)
#
# **3. By the variance:**
#
# $$\frac{\partial \sigma^2}{\partial x_i} = \frac2M (x_i - \mu), \quad
# \frac{\partial s}{\partial \sigma^2} = -\frac{s^3}{2}, \quad \frac{\partial \hat x_j}{\partial s} = x_j - \mu$$
#
# $$\Longrightarrow\qquad \sum_j g_j (x_j - \mu) \cdot \Big(-\frac{s^3}{2}\Big) \cdot \frac2M (x_i - \mu)
# = -\,s\, \hat x_i\, \frac1M \sum_j g_j \hat x_j$$
#
# The 2 goes, and of the three $s$ two turn $(x - \mu)$ into $\hat x$: one inside the sum, one outside. Together:
#
# $$\frac{\partial L}{\partial x_i} = s \Big( g_i - \frac1M \sum_j g_j - \hat x_i\, \frac1M \sum_j g_j \hat x_j \Big)$$
#
# And $\gamma$ and $\beta$ stand in $y_i = \gamma \hat x_i + \beta$ only, once for each row:
#
# $$\frac{\partial L}{\partial \beta} = \sum_i \frac{\partial L}{\partial y_i} \qquad
# \frac{\partial L}{\partial \gamma} = \sum_i \frac{\partial L}{\partial y_i}\, \hat x_i$$
#
# These are, but for $\gamma / M$, the two sums that the long formula needs. So they are worked out once:


# %%
class BatchNorm(minicnn.Function):
    """Batch norm in training, with the backward pass that was derived on paper."""

    def forward(self, x, weight, bias, eps=1e-5):
        mean = x.mean(axis=0)
        inv_std = 1 / np.sqrt(x.var(axis=0) + eps)
        self.save_for_backward(x, weight, mean, inv_std)
        return weight * (x - mean) * inv_std + bias

    def backward(self, grad_y):
        x, weight, mean, inv_std = self.saved
        x_hat = (x - mean) * inv_std
        grad_bias, grad_weight = grad_y.sum(axis=0), (grad_y * x_hat).sum(axis=0)
        grad_x = weight * inv_std * (grad_y - grad_bias / len(x) - x_hat * grad_weight / len(x))
        return grad_x, grad_weight, grad_bias


print("gradcheck of the formula:", gradcheck(BatchNorm.apply, [x, weight, bias]))

# %% [markdown]
# The engine has the same formula for pictures `(N, C, H, W)`, at the top of
# [batchnorm.py](../../minicnn/ops/batchnorm.py) and in `batch_norm_grad_x` there. All three, for one random upstream
# gradient:


# %%
def engine(x, weight, bias):
    return F.batch_norm(x, None, None, weight, bias, training=True)


def gradients(op, upstream):
    tensors = [Tensor(array, requires_grad=True) for array in (x, weight, bias)]
    op(*tensors).backward(upstream)
    return [tensor.grad.numpy() for tensor in tensors]


upstream = rng.normal(size=x.shape)
of_steps, of_formula, of_engine = (gradients(op, upstream) for op in (StagedBatchNorm.apply, BatchNorm.apply, engine))
for name, *three in zip(["grad_x", "grad_weight", "grad_bias"], of_steps, of_formula, of_engine, strict=True):
    equal = all(np.allclose(other, three[0], rtol=0, atol=1e-12) for other in three)
    print(f"{name:11} {'three times the same' if equal else 'DIFFERS'}; column 0: {three[0][..., 0].round(4)}")

# %% [markdown]
# ## Why a check with ones proves nothing
#
# Whoever tests a gradient for the first time writes `y.sum().backward()`: the upstream gradient is all ones. Try that
# on a backward pass in which `grad_x` has been forgotten:


# %%
class Forgotten(BatchNorm):
    def backward(self, grad_y):
        grad_x, grad_weight, grad_bias = super().backward(grad_y)
        return np.zeros_like(grad_x), grad_weight, grad_bias


def largest(array):
    return f"{np.abs(array).max():.4f}"


ones = np.ones_like(x)
right, wrong = gradients(engine, ones)[0], gradients(Forgotten.apply, ones)[0]
print("upstream ones:   largest of grad_x:", largest(right), " with zeros for it:", largest(wrong))

right, wrong = gradients(engine, upstream)[0], gradients(Forgotten.apply, upstream)[0]
print("upstream random: largest of grad_x:", largest(right), " with zeros for it:", largest(wrong))

# %% [markdown]
# With ones, zeros are right! The sum of a channel's results is $\sum_i y_i = M \beta$ **whatever $x$ is**: normalising
# has taken the mean away. A constant has the gradient 0. And it is not ones alone: for $\gamma = 1, \beta = 0$ a
# channel's sum of squares is $M$, whatever $x$ is (but for $\epsilon$; here four channels of 6), so `(y * y).sum()`
# shows nothing, either. Softmax has the same trap: its results add up to one. Hence the rule for every gradient check
# in minicnn: **a random upstream gradient, never ones.**

# %%
for name, loss in (("sum of y", lambda y: y.sum()), ("sum of y^2", lambda y: (y * y).sum())):
    values = [loss(engine(Tensor(rng.normal(3, 2, (6, 4))), None, None)).item() for _ in range(3)]
    print(f"{name:10} of three random batches:", ", ".join(f"{abs(value):.3f}" for value in values))

# %% [markdown]
# ## What the gradient has lost
#
# Look at the formula once more, as at a machine that takes something away from $g$: first its mean, then its part along
# $\hat x$. That is what a statistician does who **fits a straight line** through the points $(\hat x_i, g_i)$ and keeps
# what lies off the line. Since $\hat x$ has mean 0 and variance 1, the line's height is the mean of $g$, and its slope
# is the mean of $g \hat x$.

# %%
count = 80
values = rng.normal(3, 2, (count, 1))
x_hat = ((values - values.mean()) / values.std())[:, 0]
g = 0.8 - 0.6 * x_hat + rng.normal(0, 0.5, count)  # an upstream gradient with a good deal of both

slope, height = np.polyfit(x_hat, g, 1)
tensor = Tensor(values, requires_grad=True)
F.batch_norm(tensor, None, None, training=True, eps=0).backward(g[:, None])
kept = tensor.grad.numpy()[:, 0] * values.std()  # without the factor s

print("what lies off the line is grad_x / s:", np.allclose(kept, g - height - slope * x_hat, rtol=0, atol=1e-12))
print(f"lost: the mean {height:.3f} and {slope:.3f} x_hat; left: mean {abs(kept.mean()):.3f}", end=", ")
print(f"part along x_hat {abs((kept * x_hat).mean()):.3f}")

# %% [markdown]
# With three values in the batch one can see the same as geometry. Triples $\hat x$ with mean 0 are a plane, those with
# variance 1 as well are a **circle** in it. Whatever $x$ is, $\hat x$ lies on the circle: nothing can move it off. So
# the part of $g$ that points out of the plane (the mean) and the part that points out of the circle (along $\hat x$)
# can change nothing, and only the part along the circle is left.

# %%
_, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
ends = np.array([x_hat.min(), x_hat.max()])
left.scatter(x_hat, g, s=12)
left.plot(ends, height + slope * ends, color="firebrick", label="the line: what is lost")
left.set(title="g, which comes", xlabel="x_hat", ylabel="g", ylim=(-2, 4))
left.legend()
middle.scatter(x_hat, kept, s=12)
middle.plot(ends, 0 * ends, color="firebrick")
middle.set(title="grad_x / s, which goes on", xlabel="x_hat", ylabel="grad_x / s", ylim=(-2, 4))

plane = np.array([[1, -1, 0], [1, 1, -2]]) / np.sqrt([[2], [6]])  # two directions at right angles in the plane
triple = np.array([6.0, 2.0, 1.0])
point = plane @ ((triple - triple.mean()) / triple.std())  # x_hat, seen in the plane: sqrt(3) from the centre
pull = np.array([-0.2, 1.8])  # g without its mean, seen in the plane
out = (pull @ point) / (point @ point) * point  # its part along x_hat

angles = np.linspace(0, 2 * np.pi, 200)
right.plot(np.sqrt(3) * np.cos(angles), np.sqrt(3) * np.sin(angles), color="lightgrey")
right.plot(*point, "o", color="black")
right.text(*(point - 0.25), "x_hat", ha="right")
for arrow, colour, name in ((pull, "tab:blue", "g"), (out, "firebrick", "lost"), (pull - out, "seagreen", "left")):
    right.annotate("", point + arrow, point, arrowprops={"arrowstyle": "-|>", "color": colour, "linewidth": 2})
    right.text(*(point + 1.15 * arrow), name, color=colour, ha="center", va="center")
right.set(title="three values: a circle", aspect="equal", xlim=(-2.2, 3), ylim=(-2, 3.7))
right.axis("off")
plt.show()

# %% [markdown]
# ## To try
#
# 1. In the nine steps backwards, leave out the line `# 1`; then, instead, the line `# 3`. What does gradcheck say each
#    time? With the upstream gradient `ones`, `grad_x` should be 0: which of the two mistakes would that have shown?
# 2. In evaluation, mean and variance are constants from training. Which of the three ways are left? Compare with
#    `batch_norm_grad_x` in [batchnorm.py](../../minicnn/ops/batchnorm.py).
# 3. Multiply `x` by 10. What becomes of $y$, and of `grad_x`? Weights before a batch norm that have grown ten times
#    learn how much more slowly?
# 4. How many values has a batch of one picture after global pooling, `(1, C)`? What does the engine say, and why?
# 5. Derive layer norm: the same, but the mean is taken over the columns of a row. Which sums change their axis? Write
#    it as a `Function` ([chapter 4](4_your_own_op.ipynb)) and check it.
#
# All chapters: [the tour](README.md). All ops: [docs/ops.md](../ops.md).

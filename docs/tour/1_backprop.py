# %% [markdown]
# # 1. Backpropagation, by hand and by the engine
#
# A network learns by asking one question about each of its numbers: *if this one were a little larger, by how much
# would the loss change?* The answer is a **gradient**. Backpropagation finds all of them in one walk from the loss back
# to the inputs. Here it is done with a pencil, on six numbers, then by the engine; and then comes the one place where
# the obvious program goes wrong.

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

# %% [markdown]
# ## Forward
#
# Three numbers are given: an input `x`, a weight `w` and a bias `b`. Three are computed, each from the ones before it.

# %%
x, w, b = 2.0, 3.0, -1.0

u = x * w
v = u + b
loss = v * v

print(f"u = {u}, v = {v}, loss = {loss}")

# %% [markdown]
# ## Backward
#
# Now from the end to the beginning. Write `grad_v` for the slope of the loss with respect to `v`: how much the loss
# grows for each unit that `v` grows.
#
# - The loss grows exactly as much as itself, so `grad_loss` is 1. It all starts with that.
# - `loss = v * v` has the slope 2v. So `grad_v = grad_loss * 2 * v`.
# - `v = u + b` hands on whatever comes: one more in `u` or in `b` is one more in `v`.
# - `u = x * w`: one more in `x` is `w` more in `u`, and one more in `w` is `x` more. **A product swaps its factors.**
#
# Each line is *what came from behind, times the slope of this one step*. That is the chain rule, and there is no more
# to it. What comes from behind is called the **upstream gradient**.

# %%
grad_loss = 1.0
grad_v = grad_loss * 2 * v
grad_u = grad_v * 1
grad_b = grad_v * 1
grad_x = grad_u * w
grad_w = grad_u * x

print(f"grad_v = {grad_v}, grad_u = {grad_u}, grad_b = {grad_b}, grad_x = {grad_x}, grad_w = {grad_w}")

# %% [markdown]
# Is it true? Ask the question itself: make `w` a little larger, and look at the loss.

# %%
nudge = 0.001
moved = (x * (w + nudge) + b) ** 2
print(f"the loss moves by {moved - loss:.6f}, which is {(moved - loss) / nudge:.3f} for each unit of w")

# %% [markdown]
# Nearly 20, and nearer the smaller the nudge. This is how every gradient of minicnn is tested
# ([gradcheck.py](../../minicnn/gradcheck.py)). But a nudge answers for one weight and takes a forward pass of its own;
# the walk backwards answered for all of them, with the work of about two. AlexNet has 61 million weights.
#
# ## The picture
#
# Values are computed along the arrows, in black. Gradients come back against them, in red: each is the one at the
# arrow's head, times the slope that stands on the arrow.

# %%
import matplotlib.pyplot as plt


def draw(boxes, arrows, height):
    """boxes: {name: (x, y, value, gradient)}; arrows: [(from, to, slope)]."""
    _, axes = plt.subplots(figsize=(10, height), layout="constrained")
    for start, end, slope in arrows:
        (x0, y0), (x1, y1) = boxes[start][:2], boxes[end][:2]
        style = {"arrowstyle": "-|>", "color": "grey", "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", (x1 - 0.31, y1), (x0 + 0.31, y0), arrowprops=style)
        label = {"ha": "center", "va": "center", "backgroundcolor": "white", "fontsize": 11}
        axes.text((x0 + x1) / 2, (y0 + y1) / 2, f"· {slope:g}", color="firebrick", **label)
    for name, (left, bottom, value, gradient) in boxes.items():
        axes.add_patch(plt.Rectangle((left - 0.3, bottom - 0.36), 0.6, 0.72, facecolor="white", edgecolor="steelblue"))
        axes.text(left, bottom + 0.16, f"{name} = {value:g}", ha="center", va="center", fontsize=12)
        axes.text(left, bottom - 0.16, f"grad {gradient:g}", ha="center", va="center", fontsize=12, color="firebrick")
    axes.set(xlim=(-0.4, max(box[0] for box in boxes.values()) + 0.4), ylim=(-0.5, 2.5))
    axes.axis("off")
    plt.show()


draw(
    {
        "x": (0, 2, x, grad_x),
        "w": (0, 1, w, grad_w),
        "b": (1, 0, b, grad_b),
        "u": (1, 1.5, u, grad_u),
        "v": (2, 0.75, v, grad_v),
        "loss": (3, 0.75, loss, grad_loss),
    },
    [("x", "u", w), ("w", "u", x), ("u", "v", 1), ("b", "v", 1), ("v", "loss", 2 * v)],
    height=4,
)

# %% [markdown]
# ## The same by the engine
#
# A `Tensor` is an array that remembers how it was computed. `requires_grad=True` says: this one's gradient is wanted.

# %%
from minicnn import Tensor

X, W, B = (Tensor(number, requires_grad=True) for number in (x, w, b))
V = X * W + B
LOSS = V * V
LOSS.backward()

print("engine: ", X.grad.item(), W.grad.item(), B.grad.item())
print("by hand:", grad_x, grad_w, grad_b)

# %% [markdown]
# Each op left a **node** behind, which knows its inputs, and the walk went through these nodes. Node and walk are in
# [autograd.py](../../minicnn/autograd.py); what each op does on the way back stands on its page, the product's on
# [arithmetic.py](../../minicnn/ops/arithmetic.py). Where a number stands here, there may as well be an array: a batch
# of photographs, say.
#
# ## The diamond
#
# Above, `v` was used twice, as `v * v`, but by one op. Let two ops use a number that was itself computed:
#
#     v = 3 x        p = v + 1        q = 2 v        loss = p q
#
# The loss depends on `v` in two ways, over `p` and over `q`. How much does it grow with `v`? By both amounts together:
# **gradients of several uses add up.** Let us write that as a program, as small as can be.


# %%
class Number:
    """A value, what it was computed from, and the slope towards each of those."""

    def __init__(self, name, value, *inputs):
        self.name, self.value, self.inputs = name, value, inputs  # inputs: pairs (Number, slope)
        self.grad = 0.0


def diamond():
    x = Number("x", 2.0)
    v = Number("v", 3 * x.value, (x, 3.0))
    p = Number("p", v.value + 1, (v, 1.0))
    q = Number("q", 2 * v.value, (v, 2.0))
    loss = Number("loss", p.value * q.value, (p, q.value), (q, p.value))
    return x, v, p, q, loss


print(", ".join(f"{number.name} = {number.value}" for number in diamond()))

# %% [markdown]
# By pencil: `grad_p` is `q` = 12 and `grad_q` is `p` = 7. So `grad_v` = 12 · 1 + 7 · 2 = 26, and `grad_x` = 26 · 3 =
# **78**.
#
# The obvious program is a recursion: add what comes, then go on to the inputs.


# %%
def recursion(number, upstream, visits):
    visits.append(number.name)
    number.grad += upstream
    for other, slope in number.inputs:
        recursion(other, number.grad * slope, visits)


x, v, p, q, loss = diamond()
visits = []
recursion(loss, 1.0, visits)
print("visits:", " ".join(visits))
print("grad_v =", v.grad, "  grad_x =", x.grad)

# %% [markdown]
# `grad_v` is right, and `grad_x` is 114 instead of 78. `v` was visited twice. The first time it had the 12 from `p` and
# sent `x` 12 · 3 = 36. Then the 14 from `q` came, `grad_v` was 26, and it sent 26 · 3 = 78, **the first 12 once more**.
#
# Then each number shall be visited once? That is no better:


# %%
def each_once(number, upstream, seen):
    number.grad += upstream
    if number not in seen:
        seen.add(number)
        for other, slope in number.inputs:
            each_once(other, number.grad * slope, seen)


x, v, p, q, loss = diamond()
each_once(loss, 1.0, set())
print("grad_v =", v.grad, "  grad_x =", x.grad)

# %% [markdown]
# Now `x` got its 36 before `v` knew about the other 14. There is a recursion that is right: send on only what has just
# come, `upstream * slope`, and not the sum. But then every path from the loss to `x` is walked by itself, and where
# diamonds stand in a row, each of them doubles the number of paths:


# %%
def every_path(number, upstream):
    """The number of visits."""
    number.grad += upstream
    return 1 + sum(every_path(other, upstream * slope) for other, slope in number.inputs)


x, v, p, q, loss = diamond()
every_path(loss, 1.0)
print("grad_v =", v.grad, "  grad_x =", x.grad)

for count in (1, 2, 4, 8, 16):
    end = Number("x", 1.0)
    for _ in range(count):  # a residual block is such a diamond: a shortcut, and a way through the layers
        shortcut, layers = Number("shortcut", end.value, (end, 1.0)), Number("layers", end.value, (end, 1.0))
        end = Number("sum", 1.0, (shortcut, 0.5), (layers, 0.5))
    print(f"{count:2} in a row, {3 * count + 1:2} numbers: {every_path(end, 1.0):6} visits")

# %% [markdown]
# ResNet-50 has 16 residual blocks. What is needed is an **order**: a number sends its gradient on only when all of its
# uses have sent theirs. That is a *topological order*, walked from its end:


# %%
def topological_order(number, order, seen):
    """After every number that this one was computed from, this one."""
    if number not in seen:
        seen.add(number)
        for other, _ in number.inputs:
            topological_order(other, order, seen)
        order.append(number)
    return order


def backward(loss):
    loss.grad = 1.0
    order = topological_order(loss, [], set())
    for number in reversed(order):
        for other, slope in number.inputs:
            other.grad += number.grad * slope  # number.grad is complete: all who use it have been passed
    return order


x, v, p, q, loss = diamond()
order = backward(loss)
print("walk:", " ".join(number.name for number in reversed(order)))
print("grad_v =", v.grad, "  grad_x =", x.grad)

# %%
places = {"x": (0, 1), "v": (1, 1), "p": (2, 2), "q": (2, 0), "loss": (3, 1)}
draw(
    {number.name: (*places[number.name], number.value, number.grad) for number in order},
    [(other.name, number.name, slope) for number in order for other, slope in number.inputs],
    height=4,
)

# %% [markdown]
# And the engine, which finds its order without recursion, so that a graph may be ten thousand nodes deep. Its nodes are
# the ops, so each stands for its result: `Mul` for the loss, `Mul` for `q`, `Add` for `p` (the other way round would be
# right, too), `Mul` for `v`. No op has made `x`, a *leaf*; there the gradient stays.

# %%
from minicnn.autograd import topological_order as engine_order

X = Tensor(2.0, requires_grad=True)
V = 3 * X
LOSS = (V + 1) * (2 * V)
print("walk:", " ".join(type(node).__name__ for node in reversed(engine_order(LOSS.node))))
LOSS.backward()
print("grad_x =", X.grad.item())

# %% [markdown]
# ## To try
#
# 1. Change `b` to -6 in the first program. Why are all gradients 0 now, and what would training do?
# 2. `loss = v * v` uses `v` twice, as both factors of one op. What does `grad_v = grad_loss * v` forget? Write it as
#    two additions.
# 3. Swap `(p, q.value)` and `(q, p.value)` in `diamond()`. Which of the wrong results change, and why not the right
#    one?
# 4. Call `LOSS.backward()` once more. What does the engine say, and which memory has it given back?
# 5. Read `topological_order` in [autograd.py](../../minicnn/autograd.py): what does its stack hold, and what stands in
#    for "return" there?
#
# Next: [one convolution, five times](2_convolution.ipynb).

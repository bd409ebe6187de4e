"""Checkers of chapter 1: soft and hard attention, the two axes, kernel regression."""

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from attnbook.exercises import WrongAnswer, expect_equal

SOFT_SIZES = [(1, 1, 1), (1, 3, 5), (2, 3, 5), (5, 5, 5), (3, 7, 2)]  # B, S, D
HARD_SIZES = [(1, 3, 2), (2, 3, 5), (4, 4, 3), (5, 2, 7)]  # B, S, D
NOISE_SIZES = [(1, 3), (2, 5), (4, 4), (7, 3)]  # B, S
NEIGHBOURS = [2, 3, 5, 11]  # N

PLACES = {
    "max pooling": ("saliency hard", "each channel keeps its own largest value"),
    "softmax(beta x) pooling": (
        "saliency soft",
        "the weights come from the values themselves, and all values are mixed",
    ),
    "squeeze-and-excitation gate": (
        "saliency soft",
        "the gates come from the feature map itself, and all channels are scaled",
    ),
    "crop round the brightest pixel": (
        "saliency hard",
        "the pixel's own value decides, and one place is kept",
    ),
    "RAM glimpse": (
        "focus hard",
        "the state of the task chooses one location to look at",
    ),
    "nearest-neighbour look-up": (
        "focus hard",
        "the point asked about decides, and one neighbour is read",
    ),
    "Nadaraya-Watson regression": (
        "focus soft",
        "the point asked about decides, and all values are averaged",
    ),
    "Transformer cross-attention head": (
        "focus soft",
        "the decoder's query decides, and all values are averaged",
    ),
}


def generator(seed: int) -> torch.Generator:
    """Return a CPU generator for one case."""
    return torch.Generator().manual_seed(seed)


def require_unchanged(name: str, now: Tensor, before: Tensor) -> None:
    """Refuse an answer that wrote into its input."""
    if not torch.equal(now.detach(), before):
        raise WrongAnswer(f"the input {name} was changed in place: work on a copy")


def require_pair(got, first: str, second: str) -> None:
    """Refuse anything but two things returned together."""
    if not isinstance(got, tuple | list) or len(got) != 2:
        kind = type(got).__name__
        raise WrongAnswer(f"return two things, {first} and {second}; got {kind}")


def check_soft_pool(answer) -> None:
    """Exercise 1.1: attention per question, with a temperature."""
    for seed, (size_b, size_s, size_d) in enumerate(SOFT_SIZES):
        source = generator(seed)
        q = torch.randn(size_b, size_d, generator=source).double()
        x = torch.randn(size_b, size_s, size_d, generator=source).double()
        for tau in (1.0, 0.5, 3.0):
            _check_soft_case(answer, q, x, tau)
    _check_soft_limits(answer)
    _check_soft_gradient(answer)


def _check_soft_case(answer, q, x, tau):
    """Compare context and weights of one batch, naming the usual slips."""
    q_given, x_given = q.clone(), x.clone()
    got = answer(q_given, x_given, tau)
    require_unchanged("q", q_given, q)
    require_unchanged("x", x_given, x)
    require_pair(got, "the context", "the weights")
    scores = torch.einsum("bsd,bd->bs", x, q)
    weights = torch.softmax(scores / tau, dim=-1)
    case = f"B={x.shape[0]}, S={x.shape[1]}, D={x.shape[2]}, tau={tau:g}"
    exponentials = (scores / tau).exp()
    scaled = scores / tau / math.sqrt(x.shape[-1])
    slips = {
        "the weights do not sum to 1 over the inputs: softmax over the batch?": (
            torch.softmax(scores / tau, dim=0)
        ),
        "the temperature has no effect: are the scores divided by tau?": (
            torch.softmax(scores, dim=-1)
        ),
        "the scores were multiplied by the temperature: divide by tau": (
            torch.softmax(scores * tau, dim=-1)
        ),
        "the weights were divided by tau after the softmax: divide the scores": (
            torch.softmax(scores, dim=-1) / tau
        ),
        "the weights do not sum to 1: divide the exponentials by their sum": (
            exponentials
        ),
        "the weights sum to 1 over the whole batch: each question has its own": (
            exponentials / exponentials.sum()
        ),
        "the scores were divided by the square root of D: not in this exercise": (
            torch.softmax(scaled, dim=-1)
        ),
        "the scores were not exponentiated: use a softmax": (
            scores / scores.sum(-1, keepdim=True)
        ),
    }
    expect_equal(got[1], weights, slips, what="the weights", case=case)
    context = torch.einsum("bs,bsd->bd", weights, x)
    slips = {
        "the context is divided by S: the weights sum to 1, so sum, do not average": (
            context / x.shape[1]
        ),
        "the context is the plain mean: the weights were not used": x.mean(1),
        "the context has one row per input: sum over the inputs": (
            weights[:, :, None] * x
        ),
    }
    expect_equal(got[0], context, slips, what="the context", case=case)


def _check_soft_limits(answer):
    """Large scores must not overflow, and equal ones share."""
    x = torch.tensor([[[1.0, 0.0], [2.0, 1.0], [2.0, -1.0]]]).double()
    for size in (1e4, -1e4):
        context, weights = answer(torch.tensor([[size, 0.0]]).double(), x, 1.0)
        if weights.isnan().any() or context.isnan().any():
            raise WrongAnswer(
                f"scores around {size:g} give NaN: subtract the largest score before "
                "exponentiating (torch.softmax does)"
            )
        right = [0.0, 0.5, 0.5] if size > 0 else [1.0, 0.0, 0.0]
        right = torch.tensor([right]).double()
        expect_equal(weights, right, what="the weights", case=f"scores {size:g}")


def _check_soft_gradient(answer):
    """The context must be differentiable in the query, by the right amount."""
    q = torch.randn(2, 3, generator=generator(9)).double().requires_grad_()
    x = torch.randn(2, 5, 3, generator=generator(10)).double()
    context, _ = answer(q, x, 0.7)
    if not context.requires_grad:
        raise WrongAnswer("no gradient reaches q: was something detached or NumPy?")
    context.square().sum().backward()
    right = q.detach().clone().requires_grad_()
    weights = torch.softmax(torch.einsum("bsd,bd->bs", x, right) / 0.7, dim=-1)
    torch.einsum("bs,bsd->bd", weights, x).square().sum().backward()
    expect_equal(q.grad, right.grad, what="the gradient in q")


def check_hard_selection(answer) -> None:
    """Exercise 1.2: the chosen inputs, and a loss with the right gradient."""
    for seed, sizes in enumerate(HARD_SIZES):
        _check_hard_case(answer, *_hard_case(seed, sizes))


def _hard_case(seed, sizes):
    """Draw scores, inputs, choices, rewards and baselines."""
    size_b, size_s, size_d = sizes
    source = generator(seed)
    scores = torch.randn(size_b, size_s, generator=source).double()
    x = torch.randn(size_b, size_s, size_d, generator=source).double()
    z = torch.randint(size_s, (size_b,), generator=source)
    reward = 1 + torch.rand(size_b, generator=source).double()
    baseline = torch.rand(size_b, generator=source).double()
    return scores, x, z, reward, baseline


def _check_hard_case(answer, scores, x, z, reward, baseline):
    """Compare the choice and the gradients, naming the usual slips."""
    leaves = [t.clone().requires_grad_() for t in (scores, reward, baseline)]
    given = [leaves[0], x.clone(), z.clone(), leaves[1], leaves[2]]
    got = answer(*given)
    for name, now, before in zip(
        ("scores", "x", "z", "reward", "baseline"),
        given,
        (scores, x, z, reward, baseline),
        strict=True,
    ):
        require_unchanged(name, now, before)
    require_pair(got, "the chosen inputs", "the loss")
    chosen, loss = got
    case = f"B={x.shape[0]}, S={x.shape[1]}, D={x.shape[2]}"
    rows = torch.arange(len(z))
    best = x[rows, scores.argmax(-1)]
    soft = torch.einsum("bs,bsd->bd", torch.softmax(scores, -1), x)
    slips = {
        "the input with the best score was taken: take the one that was drawn, z": best,
        "the average was returned: hard attention reads one input": soft,
    }
    expect_equal(chosen, x[rows, z], slips, what="the chosen inputs", case=case)
    _check_loss(loss, leaves, scores, z, reward, baseline, case)


def _check_loss(loss, leaves, scores, z, reward, baseline, case):
    """Differentiate the loss and compare with the estimator."""
    if not isinstance(loss, Tensor) or loss.dim() != 0:
        shape = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
        raise WrongAnswer(f"the loss must be one number, got {shape} ({case})")
    if not loss.requires_grad:
        raise WrongAnswer(
            "the loss has no gradient: log-softmax of the scores must stay in the "
            "graph; detach only reward and baseline"
        )
    got = torch.autograd.grad(loss, leaves, allow_unused=True)
    if got[0] is None:
        raise WrongAnswer(
            "no gradient reaches the scores: detach only reward − baseline"
        )
    for name, gradient in zip(("reward", "baseline"), got[1:], strict=True):
        if gradient is not None and (gradient != 0).any():
            raise WrongAnswer(
                f"the gradient reaches the {name}: detach reward − baseline "
                "in the policy loss"
            )
    weights = torch.softmax(scores, dim=-1)
    score = F.one_hot(z, scores.shape[-1]) - weights
    advantage = (reward - baseline)[:, None]
    right = -(advantage * score) / len(z)
    columns = torch.softmax(scores, dim=0)
    picked = weights.gather(-1, z[:, None])
    at_z = F.one_hot(z, scores.shape[-1]).double()
    per_column = at_z - columns * at_z.mul(advantage).sum(0) / advantage
    slips = {
        "the sign is wrong: an optimiser minimises, so the loss is minus "
        "reward times log-weight": -right,
        "the baseline was not subtracted from the reward": (
            -(reward[:, None] * score) / len(z)
        ),
        "the baseline was added: it is reward − baseline": (
            -((reward + baseline)[:, None] * score) / len(z)
        ),
        "the loss is a sum over the batch: take the mean": right * len(z),
        "the weight itself was differentiated: take its logarithm": right * picked,
        "the reward was left out: it multiplies the log-weight": -score / len(z),
        "the logarithm of the score was not normalised: use log_softmax": (
            -(advantage * at_z) / len(z)
        ),
        "the softmax runs over the batch: normalise over the inputs": (
            -(advantage * per_column) / len(z)
        ),
    }
    expect_equal(got[0], right, slips, what="the gradient in the scores", case=case)


def check_straight_through(answer) -> None:
    """Exercise 1.3: one-hot forward, softmax backward."""
    cases = [
        (*_perturbed(seed, sizes), tau)
        for seed, sizes in enumerate(NOISE_SIZES)
        for tau in (1.0, 0.3, 2.5)
    ]
    for case in cases:  # all values first: they name the mistake better
        _check_one_hot(answer, *case)
    for case in cases:
        _check_through(answer, *case)


def _perturbed(seed, sizes):
    """Draw scores and Gumbel noise."""
    source = generator(seed)
    scores = torch.randn(sizes, generator=source).double()
    uniform = torch.rand(sizes, generator=source).double()
    return scores, -torch.log(-torch.log(uniform))


def _case_of(scores, tau):
    return f"B={scores.shape[0]}, S={scores.shape[1]}, tau={tau:g}"


def _check_one_hot(answer, scores, gumbel, tau):
    """Compare the value of one batch, naming the usual slips."""
    leaf, noise = scores.clone().requires_grad_(), gumbel.clone()
    got = answer(leaf, noise, tau)
    require_unchanged("scores", leaf, scores)
    require_unchanged("gumbel", noise, gumbel)

    def one_hot(perturbed):
        return F.one_hot(perturbed.argmax(-1), scores.shape[-1]).double()

    smooth = torch.softmax((scores + gumbel) / tau, dim=-1)
    right = one_hot(scores + gumbel)
    slips = {
        "the rows are soft: going forward they must be one-hot": smooth,
        "the rows sum to 2: the smooth weights must cancel in the value": right
        + smooth,
        "the noise is missing: the best score is chosen every time": one_hot(scores),
        "the noise was subtracted: add it to the scores": one_hot(scores - gumbel),
        "the scores were divided by tau before the noise was added: add it first": (
            one_hot(scores / tau + gumbel)
        ),
    }
    case = _case_of(scores, tau)
    expect_equal(got, right, slips, what="the result", case=case, atol=1e-7)


def _check_through(answer, scores, gumbel, tau):
    """Compare the gradient of one batch, naming the usual slips."""
    leaf = scores.clone().requires_grad_()
    got = answer(leaf, gumbel.clone(), tau)
    target = torch.linspace(-1, 1, scores.numel()).double().cos().view_as(scores)
    target = target + torch.arange(scores.shape[-1])
    cut = (
        "no gradient reaches the scores: add the smooth weights minus their "
        "detached copy to the one-hot rows"
    )
    if not got.requires_grad:
        raise WrongAnswer(cut)
    (gradient,) = torch.autograd.grad((got * target).sum(), leaf, allow_unused=True)
    if gradient is None:
        raise WrongAnswer(cut)

    def through(logits, factor):
        weights = torch.softmax(logits, dim=-1)
        inner = (weights * target).sum(-1, keepdim=True)
        return factor * weights * (target - inner)

    right = through((scores + gumbel) / tau, 1 / tau)
    slips = {
        "the gradient is that of the softmax without the noise": (
            through(scores / tau, 1 / tau)
        ),
        "the gradient ignores tau: divide scores + noise by it": (
            through(scores + gumbel, 1.0)
        ),
        "the noise was not divided by tau: add it before dividing": (
            through(scores / tau + gumbel, 1 / tau)
        ),
        "the gradient went straight to the scores, not through the softmax": target,
        "the gradient has the wrong sign: + smooth − smooth.detach()": -right,
        "the gradient is counted twice": 2 * right,
    }
    case = _case_of(scores, tau)
    expect_equal(gradient, right, slips, what="the gradient", case=case)


def check_places(answer) -> None:
    """Exercise 1.4: eight mechanisms on two axes."""
    if callable(answer):  # the stub of a function: nothing was filled in
        answer = answer()
    if not isinstance(answer, Mapping):
        raise WrongAnswer(f"keep the dictionary, got {type(answer).__name__}")
    if all(answer.get(name) is None for name in PLACES):
        raise NotImplementedError("Exercise 1.4")
    lost = [name for name in PLACES if name not in answer]
    if lost:
        raise WrongAnswer(f"these are gone from the dictionary: {', '.join(lost)}")
    extra = [str(name) for name in answer if name not in PLACES]
    if extra:
        raise WrongAnswer(f"these were not asked for: {', '.join(extra)}")
    for name, (right, why) in PLACES.items():
        _check_place(name, answer[name], right, why)


def _check_place(name, given, right, why):
    """Name the axis on which one mechanism was misplaced."""
    allowed = ("focus soft", "focus hard", "saliency soft", "saliency hard")
    if given is None:
        raise WrongAnswer(f"{name} is still open")
    words = " ".join(str(given).lower().split())
    if words not in allowed:
        raise WrongAnswer(f"{name}: choose one of {', '.join(allowed)}; got {given!r}")
    axes = ("who decides", "how many are read")
    wrong = [
        axis
        for axis, mine, its in zip(axes, words.split(), right.split(), strict=True)
        if mine != its
    ]
    if wrong:
        raise WrongAnswer(f"{name}: look again at {' and '.join(wrong)}: {why}")


def check_leave_one_out(answer) -> None:
    """Exercise 1.5: leave-one-out errors of Gaussian kernel regression."""
    widths = torch.tensor([0.3, 1.0, 2.5, 40.0]).double()
    for seed, size in enumerate(NEIGHBOURS):
        source = generator(seed)
        points = 3 * torch.randn(size, generator=source).double()
        targets = 5 + 2 * torch.randn(size, generator=source).double()
        _check_neighbours(answer, points, targets, widths, f"N={size}")
    repeated = torch.tensor([1.0, 1.0, 2.0, 4.0]).double()
    targets = torch.tensor([1.0, 5.0, 2.0, 9.0]).double()
    _check_neighbours(answer, repeated, targets, widths[:1], "two points at one place")
    got = answer(repeated, targets, torch.tensor([1e-3]).double())
    if isinstance(got, Tensor) and got.isnan().any():
        raise WrongAnswer(
            "a very small width gives NaN: all kernels underflow to 0; "
            "take a softmax of the scores"
        )
    tiny = torch.tensor([1e-3]).double()
    _check_neighbours(answer, repeated, targets, tiny, "width 0.001")


def _check_neighbours(answer, points, targets, widths, case):
    """Compare the errors of one data set, naming the usual slips."""
    given = points.clone(), targets.clone(), widths.clone()
    got = answer(*given)
    for name, now, before in zip(
        ("points", "targets", "widths"), given, (points, targets, widths), strict=True
    ):
        require_unchanged(name, now, before)
    squares = (points[:, None] - points) ** 2
    itself = torch.eye(len(points), dtype=torch.bool)
    wide = widths[:, None, None]

    def errors(scores, dim=-1, hide=-math.inf):
        hidden = scores if hide is None else scores.masked_fill(itself, hide)
        weights = torch.softmax(hidden, dim=dim)
        return ((weights @ targets - targets) ** 2).mean(-1)

    scores = -squares / (2 * wide**2)
    right = errors(scores)
    holes = torch.softmax(scores, -1).masked_fill(itself, 0.0)
    slips = {
        "each point predicts itself: give the diagonal the score −inf "
        "(0 is the best score of all)": errors(scores, hide=None),
        "the rows do not sum to 1: the diagonal's weight was set to 0 after the "
        "softmax": ((holes @ targets - targets) ** 2).mean(-1),
        "the width is not squared: the score is −distance²/(2 h²)": (
            errors(-squares / (2 * wide))
        ),
        "the factor 2 is missing: the score is −distance²/(2 h²)": (
            errors(-squares / wide**2)
        ),
        "the distance is not squared: the score is −distance²/(2 h²)": (
            errors(-squares.sqrt() / (2 * wide**2))
        ),
        "the sign is wrong: near points must get more weight": errors(-scores),
        "softmax over the queries: the weights of one query's keys sum to 1": (
            errors(scores, dim=-2)
        ),
        "this is the root of the error: return the mean square": right.sqrt(),
        "this is the sum of squares: return the mean": right * len(points),
    }
    expect_equal(got, right, slips, what="the errors", case=case)


CHECKS = {
    "1.1": check_soft_pool,
    "1.2": check_hard_selection,
    "1.3": check_straight_through,
    "1.4": check_places,
    "1.5": check_leave_one_out,
}

"""Planted mistakes of chapter 1."""

import math

import torch
import torch.nn.functional as F

from mistakes import Mistake

RIGHT_PLACES = {
    "max pooling": "saliency hard",
    "softmax(beta x) pooling": "saliency soft",
    "squeeze-and-excitation gate": "saliency soft",
    "crop round the brightest pixel": "saliency hard",
    "RAM glimpse": "focus hard",
    "nearest-neighbour look-up": "focus hard",
    "Nadaraya-Watson regression": "focus soft",
    "Transformer cross-attention head": "focus soft",
}


def attend(q, x, weigh, tau=1.0):
    """Soft pooling with another way to weigh the scores."""
    weights = weigh(torch.einsum("bsd,bd->bs", x, q) / tau)
    return torch.einsum("bs,bsd->bd", weights, x), weights


def loop_soft_pool(q, x, tau):
    """Right, question by question, with the maximum subtracted by hand."""
    contexts, weights = [], []
    for question, inputs in zip(q, x, strict=True):
        scores = torch.stack([question @ one for one in inputs]) / tau
        powers = (scores - scores.max()).exp()
        weights.append(powers / powers.sum())
        contexts.append(
            sum(w * one for w, one in zip(weights[-1], inputs, strict=True))
        )
    return torch.stack(contexts), torch.stack(weights)


def fused_soft_pool(q, x, tau):
    """Right, through PyTorch's own attention."""
    context = F.scaled_dot_product_attention(q[:, None], x, x, scale=1 / tau)[:, 0]
    return context, F.softmax((x @ q[..., None]).squeeze(-1).div(tau), 1)


def overflowing(q, x, tau):
    powers = torch.exp(torch.einsum("bsd,bd->bs", x, q) / tau)
    weights = powers / powers.sum(-1, keepdim=True)
    return torch.einsum("bs,bsd->bd", weights, x), weights


def averaged(q, x, tau):
    _, weights = loop_soft_pool(q, x, tau)
    return (weights[..., None] * x).mean(1), weights


def cut_off(q, x, tau):
    context, weights = loop_soft_pool(q.detach(), x.detach(), tau)
    return context, weights


def scaling_in_place(q, x, tau):
    q /= tau
    return loop_soft_pool(q, x, 1.0)


def select(scores, x, z, loss):
    return x[torch.arange(len(z)), z], loss(torch.log_softmax(scores, -1), z)


def pick(log_weights, z):
    return log_weights.gather(-1, z[:, None])[:, 0]


def categorical_selection(scores, x, z, reward, baseline):
    """Right, through torch.distributions."""
    chosen = torch.take_along_dim(x, z[:, None, None], dim=1)[:, 0]
    log_prob = torch.distributions.Categorical(logits=scores).log_prob(z)
    advantage = reward.detach() - baseline.detach()
    return chosen, (-advantage * log_prob).mean()


def entropy_selection(scores, x, z, reward, baseline):
    """Right, through a cross-entropy weighted by the advantage."""
    with torch.no_grad():
        advantage = (reward - baseline) / len(z)
    chosen = F.one_hot(z, x.shape[1]).to(x.dtype)[:, None] @ x
    each = F.cross_entropy(scores, z, reduction="none")
    return chosen.squeeze(1), (each * advantage).sum()


def wrong_selection(advantage_of, reduce=torch.mean, sign=-1):
    """Selection whose loss is `sign · reduce(advantage · log-weight)`."""

    def answer(scores, x, z, reward, baseline):
        def loss(log_weights, z):
            return sign * reduce(advantage_of(reward, baseline) * pick(log_weights, z))

        return select(scores, x, z, loss)

    return answer


def best_selection(scores, x, z, reward, baseline):
    best = scores.argmax(-1)
    chosen, _ = categorical_selection(scores, x, best, reward, baseline)
    return chosen, categorical_selection(scores, x, z, reward, baseline)[1]


def plain_weight(scores, x, z, reward, baseline):
    weight = pick(torch.softmax(scores, -1), z)
    return x[torch.arange(len(z)), z], -((reward - baseline).detach() * weight).mean()


def over_batch(scores, x, z, reward, baseline):
    weight = pick(torch.log_softmax(scores, 0), z)
    return x[torch.arange(len(z)), z], -((reward - baseline).detach() * weight).mean()


def raw_score(scores, x, z, reward, baseline):
    weight = pick(scores, z)
    return x[torch.arange(len(z)), z], -((reward - baseline).detach() * weight).mean()


def detached_scores(scores, x, z, reward, baseline):
    return categorical_selection(scores.detach(), x, z, reward, baseline)


class _Through(torch.autograd.Function):
    """One-hot forward, softmax backward, written as an autograd function."""

    @staticmethod
    def forward(ctx, perturbed, tau):
        smooth = torch.softmax(perturbed / tau, -1)
        ctx.save_for_backward(smooth)
        ctx.tau = tau
        return F.one_hot(perturbed.argmax(-1), perturbed.shape[-1]).to(perturbed.dtype)

    @staticmethod
    def backward(ctx, gradient):
        (smooth,) = ctx.saved_tensors
        inner = (gradient * smooth).sum(-1, keepdim=True)
        return smooth * (gradient - inner) / ctx.tau, None


def function_through(scores, gumbel, tau):
    """Right, as an autograd function."""
    return _Through.apply(scores + gumbel, tau)


def eye_through(scores, gumbel, tau):
    """Right, with rows of the identity matrix."""
    logits = (scores + gumbel) / tau
    hard = torch.eye(scores.shape[-1], dtype=scores.dtype)[logits.argmax(-1)]
    smooth = logits.softmax(-1)
    return (hard - smooth).detach() + smooth


def through(perturb, tau_of=lambda tau: tau, hard_of=None):
    """Straight-through with another perturbation or temperature."""

    def answer(scores, gumbel, tau):
        logits = perturb(scores, gumbel, tau)
        smooth = torch.softmax(logits / tau_of(tau), -1)
        source = logits if hard_of is None else hard_of(scores, gumbel)
        hard = F.one_hot(source.argmax(-1), scores.shape[-1]).to(scores.dtype)
        return hard + smooth - smooth.detach()

    return answer


def hard_only(scores, gumbel, tau):
    return F.one_hot((scores + gumbel).argmax(-1), scores.shape[-1]).to(scores.dtype)


def not_cancelled(scores, gumbel, tau):
    return hard_only(scores, gumbel, tau) + torch.softmax((scores + gumbel) / tau, -1)


def to_the_scores(scores, gumbel, tau):
    return hard_only(scores, gumbel, tau) + scores - scores.detach()


def loop_errors(points, targets, widths):
    """Right, with each point really taken out of the data."""
    result = []
    for width in widths.tolist():
        total = 0.0
        for i in range(len(points)):
            keep = [j for j in range(len(points)) if j != i]
            scores = -((points[keep] - points[i]) ** 2) / (2 * width**2)
            total += ((torch.softmax(scores, 0) @ targets[keep]) - targets[i]) ** 2
        result.append(total / len(points))
    return torch.stack(result)


def cdist_errors(points, targets, widths):
    """Right, through log-sum-exp, a width at a time."""
    distances = torch.cdist(
        points[:, None], points[:, None], compute_mode="donot_use_mm_for_euclid_dist"
    )
    distances = distances.fill_diagonal_(math.inf)
    predicted = []
    for width in widths:
        scores = -0.5 * (distances / width).square()
        scores = scores - scores.amax(1, keepdim=True)
        kernels = scores.exp()
        predicted.append((kernels * targets).sum(1) / kernels.sum(1))
    return F.mse_loss(
        torch.stack(predicted),
        targets.expand(len(widths), -1),
        reduction="none",
    ).mean(1)


def wrong_errors(scores_of, hide=-math.inf, dim=-1):
    """Leave-one-out errors with another score, another mask or another axis."""

    def answer(points, targets, widths):
        squares = (points[:, None] - points) ** 2
        scores = scores_of(squares, widths[:, None, None])
        if hide is not None:
            itself = torch.eye(len(points), dtype=torch.bool)
            scores = scores.masked_fill(itself, hide)
        return ((torch.softmax(scores, dim) @ targets - targets) ** 2).mean(-1)

    return answer


def gaussian(squares, width):
    return -squares / (2 * width**2)


def zeroed_weights(points, targets, widths):
    scores = gaussian((points[:, None] - points) ** 2, widths[:, None, None])
    weights = torch.softmax(scores, -1) * (1 - torch.eye(len(points)))
    return ((weights @ targets - targets) ** 2).mean(-1)


def underflowing(points, targets, widths):
    kernels = gaussian((points[:, None] - points) ** 2, widths[:, None, None]).exp()
    kernels = kernels * (1 - torch.eye(len(points)))
    predicted = (kernels @ targets) / kernels.sum(-1)
    return ((predicted - targets) ** 2).mean(-1)


def places(**changes):
    return RIGHT_PLACES | {name.replace("_", " "): it for name, it in changes.items()}


MISTAKES = [
    Mistake(
        exercise="1.1",
        name="softmax over the batch",
        names_it="softmax over the batch",
        answer=lambda q, x, tau: attend(q, x, lambda s: torch.softmax(s, 0), tau),
    ),
    Mistake(
        exercise="1.1",
        name="temperature forgotten",
        names_it="temperature has no effect",
        answer=lambda q, x, tau: loop_soft_pool(q, x, 1.0),
    ),
    Mistake(
        exercise="1.1",
        name="temperature multiplied",
        names_it="multiplied by the temperature",
        answer=lambda q, x, tau: loop_soft_pool(q, x, 1 / tau),
    ),
    Mistake(
        exercise="1.1",
        name="exponentials not normalised",
        names_it="divide the exponentials by their sum",
        answer=lambda q, x, tau: attend(q, x, torch.exp, tau),
    ),
    Mistake(
        exercise="1.1",
        name="no exponential",
        names_it="not exponentiated",
        answer=lambda q, x, tau: attend(q, x, lambda s: s / s.sum(-1, True), tau),
    ),
    Mistake(
        exercise="1.1",
        name="scaled by the square root of D",
        names_it="square root of D",
        answer=lambda q, x, tau: loop_soft_pool(q, x, tau * math.sqrt(q.shape[-1])),
    ),
    Mistake(
        exercise="1.1",
        name="overflow",
        names_it="NaN.*subtract the largest score",
        answer=overflowing,
    ),
    Mistake(
        exercise="1.1",
        name="mean instead of sum",
        names_it="divided by S",
        answer=averaged,
    ),
    Mistake(
        exercise="1.1",
        name="gradient cut",
        names_it="no gradient reaches q",
        answer=cut_off,
    ),
    Mistake(
        exercise="1.1",
        name="query changed in place",
        names_it="input q was changed",
        answer=scaling_in_place,
    ),
    Mistake(
        exercise="1.1",
        name="context only",
        names_it="return two things",
        answer=lambda q, x, tau: loop_soft_pool(q, x, tau)[0],
    ),
    Mistake(
        exercise="1.2",
        name="wrong sign",
        names_it="sign is wrong",
        answer=wrong_selection(lambda r, b: (r - b).detach(), sign=1),
    ),
    Mistake(
        exercise="1.2",
        name="no baseline",
        names_it="baseline was not subtracted",
        answer=wrong_selection(lambda r, b: r.detach()),
    ),
    Mistake(
        exercise="1.2",
        name="sum over the batch",
        names_it="take the mean",
        answer=wrong_selection(lambda r, b: (r - b).detach(), torch.sum),
    ),
    Mistake(
        exercise="1.2",
        name="reward not detached",
        names_it="reaches the reward",
        answer=wrong_selection(lambda r, b: r - b.detach()),
    ),
    Mistake(
        exercise="1.2",
        name="baseline not detached",
        names_it="reaches the baseline",
        answer=wrong_selection(lambda r, b: r.detach() - b),
    ),
    Mistake(
        exercise="1.2",
        name="argmax instead of the drawn input",
        names_it="take the one that was drawn",
        answer=best_selection,
    ),
    Mistake(
        exercise="1.2",
        name="weight without logarithm",
        names_it="take its logarithm",
        answer=plain_weight,
    ),
    Mistake(
        exercise="1.2",
        name="softmax over the batch",
        names_it="softmax runs over the batch",
        answer=over_batch,
    ),
    Mistake(
        exercise="1.2",
        name="score instead of log-weight",
        names_it="use log_softmax",
        answer=raw_score,
    ),
    Mistake(
        exercise="1.2",
        name="scores detached",
        names_it="detach only reward and baseline",
        answer=detached_scores,
    ),
    Mistake(
        exercise="1.3",
        name="soft rows",
        names_it="must be one-hot",
        answer=lambda s, g, tau: torch.softmax((s + g) / tau, -1),
    ),
    Mistake(
        exercise="1.3",
        name="no gradient",
        names_it="no gradient reaches the scores",
        answer=hard_only,
    ),
    Mistake(
        exercise="1.3",
        name="no noise",
        names_it="noise is missing",
        answer=through(lambda s, g, tau: s),
    ),
    Mistake(
        exercise="1.3",
        name="noise subtracted",
        names_it="noise was subtracted",
        answer=through(lambda s, g, tau: s - g),
    ),
    Mistake(
        exercise="1.3",
        name="smooth weights not cancelled",
        names_it="rows sum to 2",
        answer=not_cancelled,
    ),
    Mistake(
        exercise="1.3",
        name="temperature ignored",
        names_it="ignores tau",
        answer=through(lambda s, g, tau: s + g, lambda tau: 1.0),
    ),
    Mistake(
        exercise="1.3",
        name="divided before the noise",
        names_it="before the noise was added",
        answer=through(lambda s, g, tau: s / tau + g, lambda tau: 1.0),
    ),
    Mistake(
        exercise="1.3",
        name="noise not in the gradient",
        names_it="without the noise",
        answer=through(lambda s, g, tau: s, hard_of=lambda s, g: s + g),
    ),
    Mistake(
        exercise="1.3",
        name="identity gradient",
        names_it="straight to the scores",
        answer=to_the_scores,
    ),
    Mistake(
        exercise="1.4",
        name="max pooling as hard attention with a query",
        names_it="max pooling: look again at who decides",
        answer=places(max_pooling="focus hard"),
    ),
    Mistake(
        exercise="1.4",
        name="RAM as soft saliency",
        names_it="RAM glimpse: look again at who decides and how many are read",
        answer=places(RAM_glimpse="saliency soft"),
    ),
    Mistake(
        exercise="1.4",
        name="one still open",
        names_it="max pooling is still open",
        answer=places(max_pooling=None),
    ),
    Mistake(
        exercise="1.4",
        name="unknown word",
        names_it="choose one of",
        answer=places(max_pooling="hard"),
    ),
    Mistake(
        exercise="1.5",
        name="nothing left out",
        names_it="predicts itself",
        answer=wrong_errors(gaussian, hide=None),
    ),
    Mistake(
        exercise="1.5",
        name="diagonal score zero",
        names_it="predicts itself.*0 is the best score",
        answer=wrong_errors(gaussian, hide=0.0),
    ),
    Mistake(
        exercise="1.5",
        name="weight set to zero after the softmax",
        names_it="after the softmax",
        answer=zeroed_weights,
    ),
    Mistake(
        exercise="1.5",
        name="width not squared",
        names_it="width is not squared",
        answer=wrong_errors(lambda squares, width: -squares / (2 * width)),
    ),
    Mistake(
        exercise="1.5",
        name="factor two missing",
        names_it="factor 2 is missing",
        answer=wrong_errors(lambda squares, width: -squares / width**2),
    ),
    Mistake(
        exercise="1.5",
        name="softmax over queries",
        names_it="softmax over the queries",
        answer=wrong_errors(gaussian, dim=-2),
    ),
    Mistake(
        exercise="1.5",
        name="root of the error",
        names_it="return the mean square",
        answer=lambda p, t, w: loop_errors(p, t, w).sqrt(),
    ),
    Mistake(
        exercise="1.5",
        name="underflow",
        names_it="very small width gives NaN",
        answer=underflowing,
    ),
]

ACCEPTED = {
    "1.1": [loop_soft_pool, fused_soft_pool],
    "1.2": [categorical_selection, entropy_selection],
    "1.3": [function_through, eye_through],
    "1.4": [
        dict(reversed(RIGHT_PLACES.items())),
        {name: f" {place.upper()} " for name, place in RIGHT_PLACES.items()},
    ],
    "1.5": [loop_errors, cdist_errors],
}

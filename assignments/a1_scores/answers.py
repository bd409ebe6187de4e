"""Planted answers of assignment 1: wrong ones with their names, and right ones."""

from attnbook.grading.answers import RightAnswer, WrongAnswer

SOFTMAX = """
def softmax(scores, mask=None):
    scores = scores.copy()
    if mask is not None:
        scores = np.where(mask, scores, {low})
    shares = np.exp(scores - scores.max(axis={axis}, keepdims=True))
    return shares / shares.sum(axis={axis}, keepdims=True)
"""
BY_ROW = """
def softmax(scores, mask=None):
    allowed = np.broadcast_to(True if mask is None else mask, scores.shape)
    weights = np.zeros(scores.shape)
    for t, row in enumerate(allowed):
        if row.any():
            x = scores[t, row]
            shares = np.exp({shifted})
            weights[t, row] = shares / {total}
    return weights
"""
ATTEND = """
def attend(q, k, v, mask=None):
    weights = softmax({scores}, mask)
    return {result}
"""
DIAGNOSE = """
def diagnose(attend_fn):
    rng = np.random.default_rng(1)
    T, S, d_k, d_v = {sizes}
    q, k, v = (rng.normal(size=size) for size in ((T, d_k), (S, d_k), (S, d_v)))
    mask = np.ones((T, S), bool)
    mask[:, 0] = False
    mask[0] = {row}
    one = np.arange(S) % 2 == 1
    close = lambda a, b: {close}
    laws = {order}
    broken = set()
    for m in {masks}:
        context, weights = attend_fn(q, k, v, m)
        if m is None and not close(weights.sum(axis=1), np.ones(T)):
            broken.add("sum")
        if not close(weights, {right}):
            broken.add("scale" if m is None else "mask")
        if {average} and not close(context, weights @ v):
            broken.add("average")
    return next((law for law in laws if law in broken), "none")
"""
WHOLE = {
    "sizes": "3, 5, 7, 2",
    "row": "False",
    "close": "np.allclose(a, b, rtol=0, atol=1e-6)",
    "order": "LAWS",
    "masks": "(None, mask, one)",
    "right": "attend(q, k, v, m)[1]",
    "average": "True",
}


def diagnose(**weakness):
    """Return a diagnosis with one weakness."""
    return DIAGNOSE.format(**{**WHOLE, **weakness})


def within(tolerance):
    """Compare up to a tolerance."""
    return f"np.allclose(a, b, rtol=0, atol={tolerance})"


WRONG = [
    # Question 1
    WrongAnswer(
        mistake="softmax over the queries",
        check="1b",
        code=SOFTMAX.format(low="-np.inf", axis=0),
    ),
    WrongAnswer(
        mistake="NaN or infinity in the result",
        check="1a",
        code="""
def softmax(scores, mask=None):
    shares = np.exp(scores)
    if mask is not None:
        shares = shares * mask
    return shares / shares.sum(axis=1, keepdims=True)
""",
    ),
    WrongAnswer(
        mistake="scores clipped",
        check="1a",
        code="""
def softmax(scores, mask=None):
    shares = np.exp(np.clip(scores, -600, 600))
    if mask is not None:
        shares = shares * mask
    total = shares.sum(axis=1, keepdims=True)
    return shares / np.where(total == 0, 1, total)
""",
    ),
    WrongAnswer(
        mistake="scores clipped",
        check="1a",
        code=BY_ROW.format(
            shifted="np.clip(x - x.mean(), -700, 700)", total="shares.sum()"
        ),
    ),
    WrongAnswer(
        mistake="NaN or infinity in the result",
        check="1a",
        code=BY_ROW.format(shifted="x - x.mean()", total="shares.sum()"),
    ),
    WrongAnswer(
        mistake="NaN or infinity in the result",
        check="1a",
        code=BY_ROW.format(shifted="x - x[0]", total="shares.sum()"),
    ),
    WrongAnswer(
        mistake="something added to the sum",
        check="1a",
        code=BY_ROW.format(shifted="x - x.max()", total="(shares.sum() + 1e-5)"),
    ),
    WrongAnswer(
        mistake="mask after the softmax",
        check="1b",
        code="""
def softmax(scores, mask=None):
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    weights = shares / shares.sum(axis=1, keepdims=True)
    return weights if mask is None else weights * mask
""",
    ),
    WrongAnswer(
        mistake="mask upside down",
        check="1b",
        code=SOFTMAX.format(low="-np.inf", axis=1).replace(
            "np.where(mask", "np.where(~mask"
        ),
    ),
    WrongAnswer(
        mistake="forbidden score set to 0",
        check="1b",
        code=SOFTMAX.format(low="0.0", axis=1),
    ),
    WrongAnswer(
        mistake="maximum taken over forbidden keys",
        check="1c",
        code="""
def softmax(scores, mask=None):
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    if mask is not None:
        shares = shares * mask
    total = shares.sum(axis=1, keepdims=True)
    return shares / np.where(total == 0, 1, total)
""",
    ),
    WrongAnswer(
        mistake="finite number in place of −∞",
        check="1c",
        code=SOFTMAX.format(low="-1e4", axis=1),
    ),
    WrongAnswer(
        mistake="finite number in place of −∞",
        check="1c",
        code="""
def softmax(scores, mask=None):
    allowed = np.broadcast_to(True if mask is None else mask, scores.shape)
    scores = np.where(allowed, scores, -1e9)
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    weights = shares / shares.sum(axis=1, keepdims=True)
    return weights * allowed.any(axis=1, keepdims=True)
""",
    ),
    WrongAnswer(
        mistake="finite number in place of −∞",
        check="1c",
        code="""
def softmax(scores, mask=None):
    allowed = np.broadcast_to(True if mask is None else mask, scores.shape)
    scores = np.where(allowed, scores, -1e9)
    shares = np.exp(scores - scores.max(axis=1, keepdims=True)) * allowed
    total = shares.sum(axis=1, keepdims=True)
    return shares / np.where(total == 0, 1, total)
""",
    ),
    WrongAnswer(
        mistake="empty row becomes uniform",
        check="1d",
        code=SOFTMAX.format(low="-1e9", axis=1),
    ),
    WrongAnswer(
        mistake="NaN or infinity in the result",
        check="1d",
        code=SOFTMAX.format(low="-np.inf", axis=1),
    ),
    WrongAnswer(
        mistake="NaN or infinity in the result",
        check="1d",
        code="""
def softmax(scores, mask=None):
    hidden = scores if mask is None else np.where(mask, scores, -np.inf)
    shares = np.exp(hidden - hidden.max(axis=1, keepdims=True))
    weights = shares / shares.sum(axis=1, keepdims=True)
    if mask is not None and mask.ndim == 2:
        weights[~mask.any(axis=1)] = 0
    return weights
""",
    ),
    WrongAnswer(
        mistake="changes its input",
        check="1e",
        code="""
def softmax(scores, mask=None):
    mask = np.full(scores.shape, True) if mask is None else mask
    mask = mask if mask.ndim == 2 else np.tile(mask, (len(scores), 1))
    empty = ~mask.any(axis=1)
    mask[empty] = True
    hidden = np.where(mask, scores, -np.inf)
    shares = np.exp(hidden - hidden.max(axis=1, keepdims=True))
    weights = shares / shares.sum(axis=1, keepdims=True)
    weights[empty] = 0
    return weights
""",
    ),
    WrongAnswer(
        mistake="changes its input",
        check="1e",
        code="""
_softmax = softmax


def softmax(scores, mask=None):
    weights = _softmax(scores, mask)
    scores -= scores.max(axis=1, keepdims=True)
    return weights
""",
    ),
    # Question 2
    WrongAnswer(
        mistake="divided by d",
        check="2a",
        code="def scaled_dot_score(q, k):\n    return q @ k.T / k.shape[1]",
    ),
    WrongAnswer(
        mistake="root of the number of keys",
        check="2a",
        code="def scaled_dot_score(q, k):\n    return q @ k.T / np.sqrt(len(k))",
    ),
    WrongAnswer(
        mistake="root of 4 is hard-coded",
        check="2a",
        code="def scaled_dot_score(q, k):\n    return q @ k.T / 2",
    ),
    WrongAnswer(
        mistake="queries and keys exchanged",
        check="2a",
        code="""
def dot_score(q, k):
    return k @ q.T


def scaled_dot_score(q, k):
    return k @ q.T / np.sqrt(k.shape[1])
""",
    ),
    WrongAnswer(
        mistake="changes its input",
        check="2a",
        code="""
def scaled_dot_score(q, k):
    q /= np.sqrt(k.shape[1])
    return q @ k.T
""",
    ),
    WrongAnswer(
        mistake="W transposed",
        check="2b",
        code="def bilinear_score(q, k, W):\n    return q @ W @ k.T",
    ),
    WrongAnswer(
        mistake="queries and keys exchanged",
        check="2b",
        code="def bilinear_score(q, k, W):\n    return k @ W @ q.T",
    ),
    WrongAnswer(
        mistake="scaled although the statement does not scale",
        check="2b",
        code="def bilinear_score(q, k, W):\n    return q @ W.T @ k.T / len(W) ** 0.5",
    ),
    WrongAnswer(
        mistake="W and U exchanged",
        check="2c",
        code="""
def additive_score(q, k, W, U, v):
    return np.tanh((q @ W.T)[:, None] + (k @ U.T)[None]) @ v
""",
    ),
    WrongAnswer(
        mistake="one tanh per term",
        check="2c",
        code="""
def additive_score(q, k, W, U, v):
    return (np.tanh(q @ U.T)[:, None] + np.tanh(k @ W.T)[None]) @ v
""",
    ),
    WrongAnswer(
        mistake="tanh forgotten",
        check="2c",
        code="""
def additive_score(q, k, W, U, v):
    return ((q @ U.T)[:, None] + (k @ W.T)[None]) @ v
""",
    ),
    WrongAnswer(
        mistake="queries and keys exchanged",
        check="2c",
        code="""
def additive_score(q, k, W, U, v):
    return np.tanh((q @ U.T)[None] + (k @ W.T)[:, None]) @ v
""",
    ),
    WrongAnswer(
        mistake="only one meaning kept",
        check="2d",
        code="""
def translation_matrix(pairs, key_words, query_words):
    meaning = dict(pairs)
    return np.array(
        [[float(meaning.get(q) == k) for q in query_words] for k in key_words]
    )
""",
    ),
    WrongAnswer(
        mistake="W transposed",
        check="2d",
        code="""
def translation_matrix(pairs, key_words, query_words):
    return np.array(
        [[float((q, k) in pairs) for k in key_words] for q in query_words]
    )
""",
    ),
    # Question 3
    WrongAnswer(
        mistake="weights returned first",
        check="3a",
        code=ATTEND.format(
            scores="scaled_dot_score(q, k)", result="weights, weights @ v"
        ),
    ),
    WrongAnswer(
        mistake="scale forgotten",
        check="3a",
        code=ATTEND.format(scores="dot_score(q, k)", result="weights @ v, weights"),
    ),
    WrongAnswer(
        mistake="divided by d",
        check="3b",
        code=ATTEND.format(
            scores="q @ k.T / k.shape[1]", result="weights @ v, weights"
        ),
    ),
    WrongAnswer(
        mistake="root of the width of the values",
        check="3a",
        code=ATTEND.format(
            scores="q @ k.T / np.sqrt(v.shape[1])", result="weights @ v, weights"
        ),
    ),
    WrongAnswer(
        mistake="root of 4 is hard-coded",
        check="3c",
        code=ATTEND.format(scores="dot_score(q, k) / 2", result="weights @ v, weights"),
    ),
    WrongAnswer(
        mistake="context without the mask",
        check="3b",
        code=ATTEND.format(
            scores="scaled_dot_score(q, k)",
            result="softmax(scaled_dot_score(q, k)) @ v, weights",
        ),
    ),
    WrongAnswer(
        mistake="softmax over the queries",
        check="3a",
        code="""
def attend(q, k, v, mask=None):
    weights = softmax(scaled_dot_score(q, k).T).T
    return weights @ v, weights
""",
    ),
    WrongAnswer(
        mistake="mask after the softmax",
        check="3b",
        code="""
def attend(q, k, v, mask=None):
    weights = softmax(scaled_dot_score(q, k))
    if mask is not None:
        weights = weights * mask
    return weights @ v, weights
""",
    ),
    WrongAnswer(
        mistake="mask ignored",
        check="3c",
        code="""
def attend(q, k, v, mask=None):
    weights = softmax(scaled_dot_score(q, k))
    return weights @ v, weights
""",
    ),
    WrongAnswer(
        mistake="mask upside down",
        check="3b",
        code="""
def attend(q, k, v, mask=None):
    weights = softmax(scaled_dot_score(q, k), None if mask is None else ~mask)
    return weights @ v, weights
""",
    ),
    WrongAnswer(
        mistake="changes its input",
        check="3c",
        code="""
def attend(q, k, v, mask=None):
    q /= np.sqrt(k.shape[1])
    weights = softmax(dot_score(q, k), mask)
    return weights @ v, weights
""",
    ),
    # Question 4
    WrongAnswer(
        mistake="a broken law is not seen: scale",
        check="4b",
        code=diagnose(sizes="3, 5, 7, 7"),
    ),
    WrongAnswer(
        mistake="a broken law is not seen: scale",
        check="4b",
        code=diagnose(sizes="5, 5, 7, 2"),
    ),
    WrongAnswer(
        mistake="a broken law is not seen: mask",
        check="4c",
        code=diagnose(row="True"),
    ),
    WrongAnswer(
        mistake="a broken law is not seen: mask",
        check="4c",
        code=diagnose(close="not np.abs(a - b).max() > 1e-6"),
    ),
    WrongAnswer(  # forbidden weights 0, sums 1, but any shares
        mistake="a broken law is not seen: mask",
        check="4c",
        code=diagnose(
            right="attend(q, k, v)[1] if m is None else np.where(m, weights, 0) / "
            "np.maximum(np.where(m, weights, 0).sum(axis=1, keepdims=True), 1e-9)"
        ),
    ),
    WrongAnswer(
        mistake="a broken law is not seen: average",
        check="4a",
        code=diagnose(average="False"),
    ),
    WrongAnswer(
        mistake="a broken law is not seen: average",
        check="4d",
        code=diagnose(average="m is None"),
    ),
    WrongAnswer(
        mistake="a broken law is not seen: average",
        check="4d",
        code=diagnose(average="m is not None"),
    ),
    WrongAnswer(
        mistake="a broken law is not seen: mask",
        check="4d",
        code=diagnose(masks="(None, mask)"),
    ),
    WrongAnswer(
        mistake="a broken law is not seen: mask",
        check="4d",
        code=diagnose(masks="(None, one, one & False)"),
    ),
    WrongAnswer(
        mistake="a broken law is not seen: sum",
        check="4e",
        code=diagnose(close=within("1e-3")),
    ),
    WrongAnswer(
        mistake="a law that holds is called broken",
        check="4e",
        code=diagnose(close=within("1e-9")),
    ),
    WrongAnswer(
        mistake="a law that holds is called broken",
        check="4e",
        code=diagnose(close=within("1e-15")),
    ),
    WrongAnswer(
        mistake="a law that holds is called broken",
        check="4e",
        code=diagnose(close="bool((a == b).all())"),
    ),
    WrongAnswer(
        mistake="sum is taken for scale",
        check="4a",
        code=diagnose(order='("scale", "sum", "mask", "average")'),
    ),
    WrongAnswer(
        mistake="not one of the five names",
        check="4a",
        code='def diagnose(attend_fn):\n    return "missing scale"',
    ),
    WrongAnswer(
        mistake="a law that holds is called broken",
        check="4e",
        code='def diagnose(attend_fn):\n    return "sum"',
    ),
    WrongAnswer(
        mistake="a broken law is not seen: sum",
        check="4e",
        code='def diagnose(attend_fn):\n    return "none"',
    ),
    # Questions 5 and 6
    WrongAnswer(
        mistake="only the diagonal",
        check="5a",
        code="""
def softmax_backward(weights, grad):
    return weights * (1 - weights) * grad
""",
    ),
    WrongAnswer(
        mistake="sum over the whole table",
        check="5a",
        code="""
def softmax_backward(weights, grad):
    return weights * (grad - (weights * grad).sum())
""",
    ),
    WrongAnswer(
        mistake="sum over the queries",
        check="5a",
        code="""
def softmax_backward(weights, grad):
    return weights * (grad - (weights * grad).sum(axis=0))
""",
    ),
    WrongAnswer(
        mistake="mean without weights",
        check="5a",
        code="""
def softmax_backward(weights, grad):
    return weights * (grad - grad.mean(axis=1, keepdims=True))
""",
    ),
    WrongAnswer(
        mistake="wrong sign",
        check="5a",
        code="""
def softmax_backward(weights, grad):
    return weights * ((weights * grad).sum(axis=1, keepdims=True) - grad)
""",
    ),
    WrongAnswer(
        mistake="NaN or infinity in the result",
        check="5a",
        code="""
def softmax_backward(weights, grad):
    mean = (weights * grad).sum(axis=1) / weights.sum(axis=1)
    return weights * (grad - mean[:, None])
""",
    ),
    WrongAnswer(
        mistake="changes its input",
        check="5b",
        code="""
def softmax_backward(weights, grad):
    grad -= (weights * grad).sum(axis=1, keepdims=True)
    return weights * grad
""",
    ),
    WrongAnswer(
        mistake="changes its input",
        check="6b",
        code="""
def query_gradient(q, k, v, grad_context, mask=None):
    weights = attend(q, k, v, mask)[1]
    grad_scores = softmax_backward(weights, grad_context @ v.T)
    k /= np.sqrt(k.shape[1])
    return grad_scores @ k
""",
    ),
    WrongAnswer(
        mistake="root forgotten",
        check="6a",
        code="""
def query_gradient(q, k, v, grad_context, mask=None):
    weights = attend(q, k, v, mask)[1]
    return softmax_backward(weights, grad_context @ v.T) @ k
""",
    ),
    WrongAnswer(
        mistake="softmax left out",
        check="6a",
        code="""
def query_gradient(q, k, v, grad_context, mask=None):
    return grad_context @ v.T @ k / np.sqrt(k.shape[1])
""",
    ),
    WrongAnswer(
        mistake="root of 4 is hard-coded",
        check="6a",
        code="""
def query_gradient(q, k, v, grad_context, mask=None):
    weights = attend(q, k, v, mask)[1]
    return softmax_backward(weights, grad_context @ v.T) @ k / 2
""",
    ),
    WrongAnswer(
        mistake="mask ignored",
        check="6b",
        code="""
def query_gradient(q, k, v, grad_context, mask=None):
    weights = attend(q, k, v)[1]
    grad_scores = softmax_backward(weights, grad_context @ v.T)
    return grad_scores @ k / np.sqrt(k.shape[1])
""",
    ),
]

RIGHT = [
    RightAnswer(
        name="loops over rows and pairs",
        code="""
import math


def softmax(scores, mask=None):
    result = np.zeros(scores.shape)
    for t in range(scores.shape[0]):
        row = [True] * scores.shape[1]
        if mask is not None:
            row = mask if mask.ndim == 1 else mask[t]
        places = [s for s in range(scores.shape[1]) if row[s]]
        if places:
            top = max(scores[t, s] for s in places)
            shares = {s: math.exp(scores[t, s] - top) for s in places}
            for s in places:
                result[t, s] = shares[s] / sum(shares.values())
    return result


def table(q, k, pair):
    return np.array([[pair(one, other) for other in k] for one in q])


def dot_score(q, k):
    return table(q, k, lambda a, b: sum(x * y for x, y in zip(a, b)))


def scaled_dot_score(q, k):
    return dot_score(q / math.sqrt(q.shape[1]), k)


def bilinear_score(q, k, W):
    return table(q, k, lambda a, b: b @ W @ a)


def additive_score(q, k, W, U, v):
    return table(q, k, lambda a, b: v @ np.tanh(W @ b + U @ a))


def translation_matrix(pairs, key_words, query_words):
    return np.array([[int((q, k) in pairs) for q in query_words] for k in key_words])


def attend(q, k, v, mask=None):
    weights = softmax(scaled_dot_score(q, k), mask)
    context = np.zeros((len(q), v.shape[1]))
    for t in range(len(q)):
        for s in range(len(k)):
            context[t] += weights[t, s] * v[s]
    return context, weights


def softmax_backward(weights, grad):
    jacobians = [np.diag(row) - np.outer(row, row) for row in weights]
    return np.array([J @ g for J, g in zip(jacobians, grad)])


def query_gradient(q, k, v, grad_context, mask=None):
    context, weights = attend(q, k, v, mask)
    result = np.zeros(q.shape)
    for t in range(len(q)):
        for s in range(len(k)):
            better = grad_context[t] @ (v[s] - context[t])
            result[t] += weights[t, s] * better * k[s] / math.sqrt(len(k[s]))
    return result
""",
    ),
    RightAnswer(
        name="einsum, log-sum-exp, finite lowest number",
        code="""
def softmax(scores, mask=None):
    allowed = np.full(scores.shape, True) if mask is None else mask
    scores = np.where(allowed, scores, np.finfo(float).min)
    shifted = scores - np.max(scores, axis=-1, keepdims=True)
    log_total = np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return np.exp(shifted - log_total) * allowed


def dot_score(q, k):
    return np.einsum("td,sd->ts", q, k)


def scaled_dot_score(q, k):
    return np.inner(q, k) * k.shape[-1] ** -0.5


def bilinear_score(q, k, W):
    return np.einsum("sk,kq,tq->ts", k, W, q)


def additive_score(q, k, W, U, v):
    keys, asked = np.einsum("fd,sd->sf", W, k), np.einsum("fd,td->tf", U, q)
    return np.einsum("f,tsf->ts", v, np.tanh(keys[None] + asked[:, None]))


def translation_matrix(pairs, key_words, query_words):
    return sum(
        np.outer(np.array(key_words) == k, np.array(query_words) == q).astype(float)
        for q, k in pairs
    )


def attend(q, k, v, mask=None):
    weights = softmax(scaled_dot_score(q, k), mask)
    return [np.einsum("ts,sd->td", weights, v), weights]


def softmax_backward(weights, grad):
    through = weights * grad
    return through - weights * np.einsum("ts->t", through)[:, None]


def query_gradient(q, k, v, grad_context, mask=None):
    context, weights = attend(q, k, v, mask)
    ahead = np.einsum("tv,sv->ts", grad_context, v)
    ahead -= np.einsum("tv,tv->t", grad_context, context)[:, None]
    return np.einsum("ts,ts,sd->td", weights, ahead, k) / np.sqrt(q.shape[1])
""",
    ),
    RightAnswer(
        name="log-sum-exp in one step",
        code="""
def softmax(scores, mask=None):
    allowed = np.broadcast_to(True if mask is None else mask, scores.shape)
    hidden = np.where(allowed, scores, -np.inf)
    top = np.where(allowed.any(axis=1), hidden.max(axis=1), 0)[:, None]
    total = np.exp(hidden - top).sum(axis=1, keepdims=True)
    return np.exp(hidden - (top + np.log(np.where(total > 0, total, 1))))
""",
    ),
    RightAnswer(
        name="diagnosis on many tables, without a call of attend",
        code="""
def diagnose(attend_fn):
    rng = np.random.default_rng(7)
    found = set()
    for _ in range(7):
        q, k = rng.normal(size=(4, 3)), rng.normal(size=(6, 3))
        v = rng.normal(size=(6, 5))
        mask = rng.random((4, 6)) < 0.5
        mask[2] = False
        shares = np.exp(q @ k.T / 3**0.5)
        for m in (None, mask, mask[0], np.zeros(6, bool)):
            context, weights = attend_fn(q, k, v) if m is None else attend_fn(
                q, k, v, mask=m
            )
            kept = shares if m is None else shares * m
            total = kept.sum(1, keepdims=True)
            kept = np.divide(kept, total, out=np.zeros_like(kept), where=total > 0)
            if m is None and not np.allclose(weights.sum(1), 1):
                found.add("sum")
            if not np.allclose(weights, kept):
                found.add("scale" if m is None else "mask")
            if not np.allclose(context, weights @ v):
                found.add("average")
    return next((law for law in LAWS if law in found), "none")
""",
    ),
]

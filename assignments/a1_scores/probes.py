"""Calls for assignment 1, made beside the student's code; they judge nothing."""


def weights_of(ns, scores, mask):
    """Return the weights of scores under a mask (or None)."""
    return ns["softmax"](scores, mask)


def weights_without_mask(ns, scores):
    """Return the weights where no mask is given at all."""
    return ns["softmax"](scores)


def inputs_after(ns, scores, mask):
    """Return weights, and the two inputs as they are after the call."""
    weights = ns["softmax"](scores, mask)
    return weights, scores, mask


def dots_of(ns, q, k):
    """Return the dot and the scaled dot scores."""
    return ns["dot_score"](q, k), ns["scaled_dot_score"](q, k)


def bilinear_of(ns, q, k, W):
    """Return the bilinear scores."""
    return ns["bilinear_score"](q, k, W)


def additive_of(ns, q, k, W, U, v):
    """Return the additive scores."""
    return ns["additive_score"](q, k, W, U, v)


def translation_of(ns, pairs, key_words, query_words):
    """Return the matrix of a dictionary."""
    pairs = [tuple(pair) for pair in pairs]
    return ns["translation_matrix"](pairs, list(key_words), list(query_words))


def answers_of(ns, q, k, v):
    """Return context and weights without a mask."""
    return ns["attend"](q, k, v)


def masked_answers_of(ns, q, k, v, mask):
    """Return context and weights under a mask."""
    return ns["attend"](q, k, v, mask)


def verdicts_of(ns, variants):
    """Return what `diagnose` says of each implementation, in their order."""
    return [ns["diagnose"](variant) for variant in variants]


def scores_gradient_of(ns, weights, grad):
    """Return the gradient with respect to the scores."""
    return ns["softmax_backward"](weights, grad)


def query_gradient_without_mask(ns, q, k, v, grad_context):
    """Return the gradient with respect to the queries where no mask is given."""
    return ns["query_gradient"](q, k, v, grad_context)


def query_gradient_of(ns, q, k, v, grad_context, mask):
    """Return the gradient with respect to the queries, under a mask."""
    return ns["query_gradient"](q, k, v, grad_context, mask)

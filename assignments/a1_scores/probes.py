"""Calls for assignment 1, made beside the student's code; they judge nothing."""


def weights_of(ns, scores, mask):
    """Return the weights of scores under a mask (or None)."""
    return ns["softmax"](scores, mask)


def weights_under_each(ns, scores, masks):
    """Return the weights of the same scores under each of the masks."""
    return [ns["softmax"](scores.copy(), mask) for mask in masks]


def weights_without_mask(ns, scores):
    """Return the weights where no mask is given at all."""
    return ns["softmax"](scores)


def weights_and_inputs(ns, scores, mask):
    """Return weights, and the two inputs as they are after the call."""
    weights = ns["softmax"](scores, mask)
    return {"value": weights, "inputs": {"scores": scores, "mask": mask}}


def dots_and_inputs(ns, q, k):
    """Return the dot and the scaled dot scores, and the inputs after the calls."""
    scores = ns["dot_score"](q, k), ns["scaled_dot_score"](q, k)
    return {"value": scores, "inputs": {"q": q, "k": k}}


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


def masked_answers_and_inputs(ns, q, k, v, mask):
    """Return the same, and the inputs as they are after the call."""
    answers = ns["attend"](q, k, v, mask)
    return {"value": answers, "inputs": {"q": q, "k": k, "v": v, "mask": mask}}


def verdicts_of(ns, variants):
    """Return what `diagnose` says of each implementation, in their order."""
    return [ns["diagnose"](variant) for variant in variants]


def scores_gradient_of(ns, weights, grad):
    """Return the gradient with respect to the scores."""
    return ns["softmax_backward"](weights, grad)


def scores_gradient_and_inputs(ns, weights, grad):
    """Return the same, and the inputs as they are after the call."""
    value = ns["softmax_backward"](weights, grad)
    return {"value": value, "inputs": {"weights": weights, "grad": grad}}


def query_gradient_without_mask(ns, q, k, v, grad_context):
    """Return the gradient with respect to the queries where no mask is given."""
    return ns["query_gradient"](q, k, v, grad_context)


def query_gradient_and_inputs(ns, q, k, v, grad_context, mask):
    """Return the gradient under a mask, and the inputs as they are after the call."""
    value = ns["query_gradient"](q, k, v, grad_context, mask)
    inputs = {"q": q, "k": k, "v": v, "grad_context": grad_context, "mask": mask}
    return {"value": value, "inputs": inputs}

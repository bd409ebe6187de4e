"""Calls of the answers of assignment 5; raw results only.

Which track and family a student chose comes back with the numbers: the judge outside
takes the student's own declaration and works out what it means.
"""

import math

import torch

MANY = 150_000  # numbers that one array may bring back
ALL_PAIRS = 1024**2  # of the shapes in question 4


# Question 1
def context(ns, q, k, v, mask):
    """Return the context, and the arguments, which must be as they were."""
    return [ns["attention"](q, k, v, mask), q, k, v]


def reached(ns, mask, layers):
    return [ns["reach"](mask.clone(), number) for number in layers]


def crowded(ns, masks, layers):
    pairs = zip(masks, layers, strict=True)
    return [ns["reach"](mask.clone(), number) for mask, number in pairs]


# Question 2
def dependences(ns, attend_fns, q, k, v):
    return [ns["dependence"](fn, q.clone(), k.clone(), v.clone()) for fn in attend_fns]


# Question 3
def small(ns, cases):
    """Return the outputs and the whole declaration for some small shapes."""
    found = []
    for case in cases:
        q, k, v = case["q"], case["k"], case["v"]
        shape = _shape(ns, case["shapes"])
        out = ns["mechanism"](q.clone(), k.clone(), v.clone(), shape)
        found.append({"out": out, **_declared(ns, q, k, v, shape, range(q.shape[1]))})
    return {**_chosen(ns), "cases": found}


def moved(ns, q, k, v, other_k, other_v, positions, shapes):
    """Return the outputs, and again with another key and value at each position."""
    shape = _shape(ns, shapes)
    outs = [ns["mechanism"](q.clone(), k.clone(), v.clone(), shape)]
    for s in positions:
        changed_k, changed_v = k.clone(), v.clone()
        changed_k[:, s], changed_v[:, s] = other_k[:, s], other_v[:, s]
        outs.append(ns["mechanism"](q.clone(), changed_k, changed_v, shape))
    declared = _declared(ns, q, k, v, shape, range(q.shape[1]))
    return {**_chosen(ns), "outs": outs, **declared}


def thousand(ns, q, k, v, width, shapes):
    """Return output, declaration and sizes for about a thousand positions."""
    shape = _shape(ns, shapes)
    return {
        **_chosen(ns),
        "out": ns["mechanism"](q.clone(), k.clone(), v.clone(), shape),
        "size": _size(ns, shape, width),
        **_declared(ns, q, k, v, shape, range(q.shape[1])),
    }


def long(ns, ids, q_table, k_table, v_table, positions, shapes):
    """Return the output for very many positions, made of few different vectors."""
    shape = _shape(ns, shapes)
    q, k, v = (table[ids][None] for table in (q_table, k_table, v_table))
    out = ns["mechanism"](q, k, v, shape)
    found = {**_chosen(ns), "out": out}
    if found["family"] == "linear":
        tables = q_table[None], k_table[None]
        return {**found, "features": [ns["feature_map"](table) for table in tables]}
    q, k, v = (table[ids][None] for table in (q_table, k_table, v_table))
    return {**found, **_declared(ns, q, k, v, shape, positions)}


# Question 4
def counted(ns, width, shapes):
    """Return the report, and what its first two numbers are computed from."""
    report, shape = _report(ns), _shape(ns, shapes)
    found = {**_chosen(ns), "report": report, "size": _size(ns, shape, width)}
    if found["family"] == "sparse":
        found["sees"] = _sees(ns, shape, range(math.prod(shape)), ALL_PAIRS)
    return found


def distance(ns, q, k, v, shapes):
    """Return the report and the outputs for random inputs, one sequence a call."""
    report, shape = _report(ns), _shape(ns, shapes)
    sequences = zip(q.split(1), k.split(1), v.split(1), strict=True)
    outs = [ns["mechanism"](*(x.clone() for x in one), shape) for one in sequences]
    return {**_chosen(ns), "report": report, "out": torch.cat(outs)}


def _chosen(ns):
    if ns["TRACK"] is None or ns["FAMILY"] is None:
        raise NotImplementedError
    return {"track": str(ns["TRACK"]), "family": str(ns["FAMILY"])}


def _shape(ns, shapes):
    """Return the shape in the student's track; the judge names an unknown one."""
    return tuple(shapes.get(_chosen(ns)["track"], shapes["efficient"]))


def _declared(ns, q, k, v, shape, positions):
    """Return what the family's function says, as numbers."""
    family = ns["FAMILY"]
    if family == "sparse":
        return {"sees": _sees(ns, shape, positions)}
    if family == "linear":
        both = [ns["feature_map"](x.clone()) for x in (q, k)]
        alone = ns["feature_map"](k[:, -1:].clone())
        return {"features": [*map(_if_few, both), _if_few(alone)]}
    if family == "pooled":
        ones = torch.ones(1, k.shape[1], 1, dtype=k.dtype)
        width = min(k.shape[-1], v.shape[-1])
        both = k[..., :width] + v[..., :width]
        pooled = [ns["pool"](x.clone(), shape) for x in (k, v, ones, both)]
        return {"pooled": [_if_few(x) for x in pooled]}
    return {}


def _sees(ns, shape, positions, most=MANY):
    """Return how many positions each query sees, and which, one after the other."""
    rows = []
    for t in positions:
        row = ns["sees"](shape, t)
        rows.append(row.tolist() if hasattr(row, "tolist") else [int(s) for s in row])
    flat = [s for row in rows for s in row]
    return {
        "lengths": torch.tensor([len(row) for row in rows]),
        "flat": torch.tensor(flat[:most], dtype=torch.int64).split(MANY),
    }


def _size(ns, shape, width):
    """Return the number of features, or of pooled positions, or 0."""
    one = torch.ones(1, math.prod(shape), 1, dtype=torch.float64)
    if ns["FAMILY"] == "linear":
        return ns["feature_map"](one[:, :1].expand(1, 1, width).clone()).shape[-1]
    return ns["pool"](one, shape).shape[1] if ns["FAMILY"] == "pooled" else 0


def _if_few(x):
    return x if x.numel() <= MANY else "too many"


def _report(ns):
    if ns["report"] is None:
        raise NotImplementedError
    return dict(ns["report"])

"""Wrong answers that students give to assignment 2, and right ones in other words."""

from attnbook.grading.answers import RightAnswer, WrongAnswer

ATTEND = """
def attend(q, k, v, mask=None):
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    {body}
    return weights @ v, weights
"""
LAYER = """
def multi_head(x, memory, w_q, w_k, w_v, w_o, num_heads, mask=None, b_q=None, b_o=None):
    q = x @ w_q + (0 if b_q is None else b_q)
    q, k, v = (split_heads(y, num_heads) for y in (q, memory @ w_k, memory @ w_v))
    {body}
    return out + (0 if b_o is None else b_o), weights
"""
LAW = """
_right_laws = broken_laws

def broken_laws(layer, d_model):
    found = [law for law in _right_laws(layer, d_model) if law != {law!r}]
    x, noise = randn(3, 8, d_model), randn(3, 8, d_model)
{body}
    return found
"""


def attend(body):
    """Return code for `attend` with other lines between scores and return."""
    return ATTEND.format(body=body.replace("\n", "\n    "))


def layer(body):
    """Return code for `multi_head` with other lines after the split."""
    return LAYER.format(body=body.replace("\n", "\n    "))


def law(name, body):
    """Return code for `broken_laws` with one law tested in another way."""
    lines = "\n".join("    " + line for line in body.strip("\n").split("\n"))
    return LAW.format(law=name, body=lines)


WRONG = [
    WrongAnswer(
        mistake="aligned at the start",
        check="1a",
        code="""
def causal_mask(T, S):
    return torch.ones(T, S).tril().bool()
""",
    ),
    WrongAnswer(
        mistake="mask inverted",
        check="1a",
        code="""
def causal_mask(T, S):
    return torch.ones(T, S).triu(S - T + 1).bool()
""",
    ),
    WrongAnswer(
        mistake="own position forbidden",
        check="1a",
        code="""
def causal_mask(T, S):
    return torch.arange(S) < torch.arange(T)[:, None] + S - T
""",
    ),
    WrongAnswer(
        mistake="no scale",
        check="1b",
        code=attend("weights = (scores * math.sqrt(q.shape[-1])).softmax(-1)"),
    ),
    WrongAnswer(
        mistake="divided by the width, not by its root",
        check="1b",
        code=attend("weights = (scores / math.sqrt(q.shape[-1])).softmax(-1)"),
    ),
    WrongAnswer(
        mistake="softmax over the queries",
        check="1b",
        code=attend("weights = scores.softmax(-2)"),
    ),
    WrongAnswer(
        mistake="returned in the other order",
        check="1b",
        code="""
_right_attend = attend

def attend(*arguments):
    return _right_attend(*arguments)[::-1]
""",
    ),
    WrongAnswer(
        mistake="NaN or infinity in the result",
        check="1b",
        code=attend("weights = scores.exp() / scores.exp().sum(-1, keepdim=True)"),
    ),
    WrongAnswer(
        mistake="mask inverted",
        check="1c",
        code=attend(
            "mask = torch.zeros_like(scores).bool() if mask is None else mask\n"
            "weights = scores.masked_fill(mask, -math.inf).softmax(-1).nan_to_num()"
        ),
    ),
    WrongAnswer(
        mistake="masked after the softmax",
        check="1c",
        code=attend("weights = scores.softmax(-1) * (1 if mask is None else mask)"),
    ),
    WrongAnswer(
        mistake="forbidden scores drown the allowed ones",
        check="1c",
        code=attend(
            "weights = scores.softmax(-1)\n"
            "if mask is not None:\n"
            "    weights = weights * mask\n"
            "    weights = weights / weights.sum(-1, keepdim=True).clamp(min=1e-9)"
        ),
    ),
    WrongAnswer(
        mistake="mask changed in place",
        check="1c",
        code=attend(
            "mask = torch.ones_like(scores).bool() if mask is None else mask\n"
            "empty = ~mask.any(-1, keepdim=True)\n"
            "mask |= empty\n"
            "weights = scores.masked_fill(~mask, -math.inf).softmax(-1) * ~empty"
        ),
    ),
    WrongAnswer(
        mistake="queries changed in place",
        check="1c",
        code="""
_right_attend = attend

def attend(q, k, v, mask=None):
    result = _right_attend(q, k, v, mask)
    if not q.requires_grad:
        q /= math.sqrt(q.shape[-1])
    return result
""",
    ),
    WrongAnswer(
        mistake="an empty row is uniform",
        check="1c",
        code=attend(
            "scores = scores if mask is None else scores.masked_fill(~mask, -1e9)\n"
            "weights = scores.softmax(-1)"
        ),
    ),
    WrongAnswer(
        mistake="NaN or infinity in the result",
        check="1c",
        code=attend(
            "if mask is not None:\n"
            "    scores = scores.masked_fill(~mask, -math.inf)\n"
            "weights = scores.softmax(-1)"
        ),
    ),
    WrongAnswer(
        mistake="NaN or infinity in the result",
        check="1c",
        code=attend(
            "if mask is not None:\n"
            "    scores = scores.masked_fill(~mask, -math.inf)\n"
            "weights = scores.softmax(-1)\n"
            "return torch.nan_to_num(weights @ v), weights"
        ),
    ),
    WrongAnswer(
        mistake="an empty row is uniform",
        check="1c",
        code=attend(
            "if mask is None:\n"
            "    mask = torch.ones_like(scores).bool()\n"
            "weights = scores.masked_fill(~mask, -1e30).softmax(-1)\n"
            "return weights @ v * mask.any(-1, keepdim=True), weights"
        ),
    ),
    WrongAnswer(
        mistake="an empty row is uniform",
        check="1c",
        code=attend(
            "scores = scores if mask is None else scores.masked_fill(~mask, -1e4)\n"
            "weights = scores.softmax(-1)"
        ),
    ),
    WrongAnswer(
        mistake="fill not low enough",
        check="1c",
        code=attend(
            "if mask is None:\n"
            "    mask = torch.ones_like(scores).bool()\n"
            "weights = scores.masked_fill(~mask, -1e4).softmax(-1)\n"
            "weights = weights.masked_fill(~mask.any(-1, keepdim=True), 0)"
        ),
    ),
    WrongAnswer(
        mistake="fill not low enough",
        check="1c",
        code=attend(
            "if mask is None:\n"
            "    mask = torch.ones_like(scores).bool()\n"
            "weights = scores.masked_fill(~mask, -50).softmax(-1)\n"
            "weights = weights.masked_fill(~mask.any(-1, keepdim=True), 0)"
        ),
    ),
    WrongAnswer(
        mistake="fill not low enough",
        check="1c",
        code=attend(
            "if mask is None:\n"
            "    mask = torch.ones_like(scores).bool()\n"
            "weights = scores.masked_fill(~mask, -100).softmax(-1) * mask"
        ),
    ),
    WrongAnswer(
        mistake="forbidden scores are 0",
        check="1c",
        code=attend(
            "scores = scores if mask is None else scores * mask\n"
            "weights = scores.softmax(-1)"
        ),
    ),
    WrongAnswer(
        mistake="NaN in the gradients",
        check="1d",
        code=attend(
            "if mask is not None:\n"
            "    scores = scores + torch.where(mask, 0.0, -math.inf)\n"
            "weights = scores.softmax(-1).nan_to_num()"
        ),
    ),
    WrongAnswer(
        mistake="NaN in the gradients",
        check="1d",
        code=attend(
            "if mask is None:\n"
            "    mask = torch.ones_like(scores).bool()\n"
            "weights = scores.masked_fill(~mask, -math.inf).softmax(-1)\n"
            "context, some = weights @ v, mask.any(-1, keepdim=True)\n"
            "return torch.where(some, context, 0.0), torch.where(some, weights, 0.0)"
        ),
    ),
    WrongAnswer(
        mistake="gradient cut",
        check="1d",
        code="""
_right_attend = attend

def attend(*arguments):
    context, weights = _right_attend(*arguments)
    return torch.tensor(context.detach().numpy()), weights
""",
    ),
    WrongAnswer(
        mistake="view without transpose",
        check="2a",
        code="""
def split_heads(x, num_heads):
    B, T, D = x.shape
    return x.reshape(B, num_heads, T, D // num_heads)
""",
    ),
    WrongAnswer(
        mistake="columns dealt out in turn",
        check="2a",
        code="""
def split_heads(x, num_heads):
    return x.unflatten(-1, (-1, num_heads)).permute(0, 3, 1, 2)
""",
    ),
    WrongAnswer(
        mistake="view without transpose",
        check="2a",
        code="""
def split_heads(x, num_heads):
    return x.unflatten(-1, (num_heads, -1))
""",
    ),
    WrongAnswer(
        mistake="view without transpose",
        check="2b",
        code="""
def merge_heads(x):
    B, H, T, Dh = x.shape
    return x.reshape(B, T, H * Dh)
""",
    ),
    WrongAnswer(
        mistake="columns dealt out in turn",
        check="2b",
        code="""
def merge_heads(x):
    return x.permute(0, 2, 3, 1).flatten(2)
""",
    ),
    WrongAnswer(
        mistake="scaled by the width of the model",
        check="3a",
        code=layer(
            "context, weights = attend(q / math.sqrt(num_heads), k, v, mask)\n"
            "out = merge_heads(context) @ w_o"
        ),
    ),
    WrongAnswer(
        mistake="no scale",
        check="3a",
        code=layer(
            "context, weights = attend(q * math.sqrt(q.shape[-1]), k, v, mask)\n"
            "out = merge_heads(context) @ w_o"
        ),
    ),
    WrongAnswer(
        mistake="no output map",
        check="3a",
        code=layer(
            "context, weights = attend(q, k, v, mask)\nout = merge_heads(context)"
        ),
    ),
    WrongAnswer(
        mistake="maps transposed",
        check="3a",
        code="""
def multi_head(x, memory, w_q, w_k, w_v, w_o, num_heads, mask=None, b_q=None, b_o=None):
    q, k, v = F.linear(x, w_q, b_q), F.linear(memory, w_k), F.linear(memory, w_v)
    q, k, v = (split_heads(y, num_heads) for y in (q, k, v))
    context, weights = attend(q, k, v, mask)
    return F.linear(merge_heads(context), w_o, b_o), weights
""",
    ),
    *(
        WrongAnswer(
            mistake="output map transposed",
            check=check,
            code=layer(
                "context, weights = attend(q, k, v, mask)\n"
                "out = merge_heads(context) @ w_o.T"
            ),
        )
        for check in ("3a", "3b", "3c")
    ),
    WrongAnswer(
        mistake="weights averaged over the heads",
        check="3a",
        code=layer(
            "context, weights = attend(q, k, v, mask)\n"
            "out, weights = merge_heads(context) @ w_o, weights.mean(1)"
        ),
    ),
    WrongAnswer(
        mistake="heads merged without transpose",
        check="3a",
        code=layer(
            "context, weights = attend(q, k, v, mask)\n"
            "out = context.reshape(*x.shape) @ w_o"
        ),
    ),
    WrongAnswer(
        mistake="bias of the queries left out",
        check="3b",
        code="""
_right_layer = multi_head

def multi_head(x, memory, w_q, w_k, w_v, w_o, num_heads, mask=None, b_q=None, b_o=None):
    return _right_layer(x, memory, w_q, w_k, w_v, w_o, num_heads, mask, None, b_o)
""",
    ),
    WrongAnswer(
        mistake="bias of the output left out",
        check="3b",
        code="""
_right_layer = multi_head

def multi_head(x, memory, w_q, w_k, w_v, w_o, num_heads, mask=None, b_q=None, b_o=None):
    return _right_layer(x, memory, w_q, w_k, w_v, w_o, num_heads, mask, b_q)
""",
    ),
    WrongAnswer(
        mistake="bias of the output before the map",
        check="3b",
        code=layer(
            "context, weights = attend(q, k, v, mask)\n"
            "out = (merge_heads(context) + (0 if b_o is None else b_o)) @ w_o\n"
            "b_o = None"
        ),
    ),
    WrongAnswer(
        mistake="mask ignored",
        check="3c",
        code=layer(
            "context, weights = attend(q, k, v)\nout = merge_heads(context) @ w_o"
        ),
    ),
    WrongAnswer(
        mistake="mask inverted",
        check="3c",
        code=layer(
            "context, weights = attend(q, k, v, None if mask is None else ~mask)\n"
            "out = merge_heads(context) @ w_o"
        ),
    ),
    WrongAnswer(
        mistake="masks of the heads taken for masks of the sequences",
        check="3c",
        code=layer(
            "if mask is not None and mask.ndim == 3:\n"
            "    mask = mask.unsqueeze(1)\n"
            "context, weights = attend(q, k, v, mask)\n"
            "out = merge_heads(context) @ w_o"
        ),
    ),
    WrongAnswer(
        mistake="wrong numbers",
        check="3c",
        code=layer(
            "mask = None if mask is None else mask[:, :1]  # one for all heads\n"
            "context, weights = attend(q, k, v, mask)\n"
            "out = merge_heads(context) @ w_o"
        ),
    ),
    WrongAnswer(
        mistake="raises ValueError",
        check="3c",
        code=layer(
            "if mask is not None:\n"
            "    B, H, T, S = mask.shape\n"
            "context, weights = attend(q, k, v, mask)\n"
            "out = merge_heads(context) @ w_o"
        ),
    ),
    WrongAnswer(
        mistake="bias of the output lost where a query reads nothing",
        check="3c",
        code=layer(
            "context, weights = attend(q, k, v, mask)\n"
            "out = merge_heads(context) @ w_o + (0 if b_o is None else b_o)\n"
            "out, b_o = out * weights.any(-1).any(1)[..., None], None"
        ),
    ),
    WrongAnswer(
        mistake="gradient cut",
        check="3d",
        code=layer(
            "context, weights = attend(q, k.detach(), v, mask)\n"
            "out = merge_heads(context) @ w_o"
        ),
    ),
    WrongAnswer(
        mistake="not transposed",
        check="4a",
        code="""
_right_conversion = from_torch

def from_torch(*given):
    *maps, b_q, b_o = _right_conversion(*given)
    return *(w.T for w in maps), b_q, b_o
""",
    ),
    WrongAnswer(
        mistake="output map not transposed",
        check="4a",
        code="""
_right_conversion = from_torch

def from_torch(*given):
    *maps, b_q, b_o = _right_conversion(*given)
    return *maps[:3], given[2], b_q, b_o
""",
    ),
    WrongAnswer(
        mistake="bias of the values lost",
        check="4b",
        code="""
_right_conversion = from_torch

def from_torch(*given):
    return *_right_conversion(*given)[:5], given[3]
""",
    ),
    WrongAnswer(
        mistake="bias of the values past the output map",
        check="4b",
        code="""
_right_conversion = from_torch

def from_torch(*given):
    return *_right_conversion(*given)[:5], given[3] + given[1].chunk(3)[2]
""",
    ),
    WrongAnswer(
        mistake="output map on the wrong side",
        check="4b",
        code="""
_right_conversion = from_torch

def from_torch(*given):
    b_v = given[1].chunk(3)[2]
    return *_right_conversion(*given)[:5], given[3] + b_v @ given[2]
""",
    ),
    WrongAnswer(
        mistake="bias of the keys kept",
        check="4b",
        code="""
_right_conversion = from_torch

def from_torch(*given):
    *maps, b_q, b_o = _right_conversion(*given)
    return *maps, b_q + given[1].chunk(3)[1], b_o
""",
    ),
    WrongAnswer(
        mistake="not negated",
        check="4c",
        code="""
_right_masks = masks_from_torch

def masks_from_torch(*given):
    return ~_right_masks(*given)
""",
    ),
    WrongAnswer(
        mistake="allowed if one of the masks allows it",
        check="4c",
        code="""
def masks_from_torch(attn_mask, key_padding_mask, num_heads):
    (B, S), T = key_padding_mask.shape, attn_mask.shape[-2]
    if attn_mask.ndim == 3:
        attn_mask = attn_mask.view(B, num_heads, T, S)
    allowed = ~attn_mask | ~key_padding_mask[:, None, None]
    return allowed.expand(B, num_heads, T, S)
""",
    ),
    WrongAnswer(
        mistake="heads left to broadcasting",
        check="4c",
        code="""
def masks_from_torch(attn_mask, key_padding_mask, num_heads):
    if attn_mask.ndim == 3:
        attn_mask = attn_mask.unflatten(0, (-1, num_heads))
    return ~(attn_mask | key_padding_mask[:, None, None])
""",
    ),
    WrongAnswer(
        mistake="padding forgotten",
        check="4c",
        code="""
def masks_from_torch(attn_mask, key_padding_mask, num_heads):
    B, S = key_padding_mask.shape
    if attn_mask.ndim == 3:
        return ~attn_mask.unflatten(0, (B, num_heads))
    return ~attn_mask.expand(B, num_heads, *attn_mask.shape)
""",
    ),
    WrongAnswer(
        mistake="padding forgotten",
        check="4d",
        code="""
_right_masks = masks_from_torch

def masks_from_torch(attn_mask, key_padding_mask, num_heads):
    if attn_mask.ndim == 3:
        return ~attn_mask.unflatten(0, (-1, num_heads))
    return _right_masks(attn_mask, key_padding_mask, num_heads)
""",
    ),
    WrongAnswer(
        mistake="heads before sequences",
        check="4d",
        code="""
def masks_from_torch(attn_mask, key_padding_mask, num_heads):
    (B, S), T = key_padding_mask.shape, attn_mask.shape[-2]
    if attn_mask.ndim == 3:
        attn_mask = attn_mask.view(num_heads, B, T, S).transpose(0, 1)
    forbidden = attn_mask | key_padding_mask[:, None, None]
    return ~forbidden.expand(B, num_heads, T, S)
""",
    ),
    WrongAnswer(
        mistake="padding: a layer that keeps it is rejected",
        check="5a",
        code=law(
            "padding",
            """
real = torch.arange(8) < torch.tensor([[8], [3], [6]])
mask = real[:, None, None, :]
changed = torch.where(real[..., None], x, noise)
if not same(layer(x, mask), layer(changed, mask)):
    found.append("padding")
""",
        ),
    ),
    WrongAnswer(
        mistake="future: a layer that breaks it passes",
        check="5a",
        code="""
def broken_laws(layer, d_model):
    return []
""",
    ),
    WrongAnswer(
        mistake="batch: a layer that keeps it is rejected",
        check="5a",
        code="""
def broken_laws(layer, d_model):
    return list(LAWS)
""",
    ),
    WrongAnswer(  # reads what a function carries along, and tests nothing
        mistake="future: a layer that breaks it passes",
        check="5a",
        code="""
def broken_laws(layer, d_model):
    known = {"ignored": ["future", "padding"], "late": ["future", "padding"],
             "shifted": ["future"], "neighbour": ["padding"], "fading": ["order"],
             "table": ["order", "average"], "sigmoid": ["average"],
             "crowd": ["batch"], "global": ["batch", "future", "padding"]}
    code = layer.__code__
    carried = [cell.cell_contents for cell in layer.__closure__ or ()]
    carried += [layer.__name__, layer.__qualname__, layer.__doc__, layer.__dict__]
    carried += [layer.__defaults__, layer.__kwdefaults__, code.co_consts]
    carried += [code.co_names, code.co_varnames, code.co_freevars]
    words = set(repr(carried).replace("'", " ").split())
    return next((laws for kind, laws in known.items() if kind in words), [])
""",
    ),
    WrongAnswer(
        mistake="not a list of names",
        check="5a",
        code="""
_right_laws = broken_laws

def broken_laws(layer, d_model):
    return {law: True for law in _right_laws(layer, d_model)} or [True]
""",
    ),
    WrongAnswer(
        mistake="padding: a layer that breaks it passes",
        check="5c",
        code=law(
            "padding",
            """
real = (torch.arange(8) < 5).expand(3, 8)  # one length for all
mask = real[:, None, None, :]
changed = torch.where(real[..., None], x, noise)
if not same(layer(x, mask)[real], layer(changed, mask)[real]):
    found.append("padding")
""",
        ),
    ),
    WrongAnswer(
        mistake="future: a layer that breaks it passes",
        check="5b",
        code=law(
            "future",
            """
changed = torch.cat([x[:, :7], noise[:, :1]], dim=1)
mask = causal_mask(8, 8)
if not same(layer(x, mask)[:, 0], layer(changed, mask)[:, 0]):  # first output only
    found.append("future")
""",
        ),
    ),
    WrongAnswer(
        mistake="future: a layer that breaks it passes",
        check="5b",
        code=law(
            "future",
            """
changed = torch.cat([x[:, :1], noise[:, 1:]], dim=1)
mask = causal_mask(8, 8)
if not same(layer(x, mask)[:, 0], layer(changed, mask)[:, 0]):  # one position only
    found.append("future")
""",
        ),
    ),
    WrongAnswer(
        mistake="order: a layer that breaks it passes",
        check="5d",
        code=law(
            "order",
            """
order = torch.tensor([3, 7, 0, 2, 6, 1, 5, 4])
if not same(layer(x[:, order]).sum(1), layer(x).sum(1)):  # which output is whose?
    found.append("order")
""",
        ),
    ),
    WrongAnswer(
        mistake="order: a layer that breaks it passes",
        check="5d",
        code=law(
            "order",
            """
if not same(layer(x.flip(1)), layer(x).flip(1)):
    found.append("order")
""",
        ),
    ),
    WrongAnswer(
        mistake="order: a layer that keeps it is rejected",
        check="5d",
        code=law(
            "order",
            """
order = torch.randperm(8)
if not same(layer(x[:, order]), layer(x)):
    found.append("order")
""",
        ),
    ),
    WrongAnswer(
        mistake="average: a layer that breaks it passes",
        check="5e",
        code=law(
            "average",
            """
copies = x[:, :1].expand(-1, 8, -1)
out = layer(copies)
if not same(out, out[:, :1].expand(-1, 8, -1)):  # compared with each other only
    found.append("average")
""",
        ),
    ),
    WrongAnswer(
        mistake="batch: a layer that breaks it passes",
        check="5f",
        code="""
_right_laws = broken_laws

def broken_laws(layer, d_model):
    return [law for law in _right_laws(layer, d_model) if law != "batch"]
""",
    ),
    WrongAnswer(
        mistake="batch: a layer that breaks it passes",
        check="5f",
        code=law(
            "batch",
            """
if not same(layer(x)[:1], layer(x[:1])):  # the first sequence only
    found.append("batch")
""",
        ),
    ),
    WrongAnswer(
        mistake="one question is not answered",
        check="6a",
        code="""
def two_heads():
    return [[6, 5, 0], [0, 0, 6]]
""",
    ),
    WrongAnswer(
        mistake="one question is not answered",
        check="6a",
        code="""
def two_heads():
    return [[6, 5.5, 0], [0, 5.5, 6]]
""",
    ),
    WrongAnswer(
        mistake="2 questions are not answered",
        check="6a",
        code="""
def two_heads():
    return [[6, 6, 0], [0, 0, 6]]
""",
    ),
    WrongAnswer(
        mistake="out of range",
        check="6a",
        code="""
def two_heads():
    return [[60, 60, 0], [0, 60, 60]]
""",
    ),
    WrongAnswer(
        mistake="wrong shape",
        check="6a",
        code="""
def two_heads():
    return [[6, 0, 0], [0, 6, 0], [0, 0, 6]]
""",
    ),
]

RIGHT = [
    RightAnswer(
        name="einsum, NaN replaced after a selected softmax",
        code="""
def causal_mask(T, S):
    return torch.arange(S)[None, :] <= torch.arange(T)[:, None] + (S - T)

def attend(q, k, v, mask=None):
    scores = torch.einsum("...td,...sd->...ts", q, k) * q.shape[-1] ** -0.5
    if mask is not None:
        scores = torch.where(mask, scores, float("-inf"))
    weights = torch.nan_to_num(torch.softmax(scores, dim=-1))
    return torch.einsum("...ts,...sv->...tv", weights, v), weights

def split_heads(x, num_heads):
    return x.unflatten(-1, (num_heads, -1)).permute(0, 2, 1, 3)

def merge_heads(x):
    return torch.einsum("bhtd->bthd", x).reshape(x.shape[0], x.shape[2], -1)

def two_heads():
    return torch.tensor([[9.0, 9.0, 1.0], [-3.0, 9.0, 9.0]])
""",
    ),
    RightAnswer(
        name="a loop over heads with slices of the maps",
        code="""
def attend(q, k, v, mask=None):
    scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
    if mask is None:
        mask = torch.ones_like(scores, dtype=torch.bool)
    scores = scores.masked_fill(~mask, -1e9)
    scores = scores - scores.max(dim=-1, keepdim=True).values.detach()
    powers = torch.where(mask, torch.exp(scores), 0.0)
    total = powers.sum(dim=-1, keepdim=True)
    weights = powers / torch.where(total == 0, 1.0, total)
    return weights @ v, weights

def split_heads(x, num_heads):
    return torch.stack(x.chunk(num_heads, dim=-1), dim=1)

def merge_heads(x):
    return torch.cat(list(x.unbind(dim=1)), dim=-1)

def multi_head(x, memory, w_q, w_k, w_v, w_o, num_heads, mask=None, b_q=None, b_o=None):
    D = w_q.shape[1]
    size, out, maps = D // num_heads, 0, []
    for h in range(num_heads):
        mine = slice(h * size, (h + 1) * size)
        q = x @ w_q[:, mine]
        if b_q is not None:
            q = q + b_q[mine]
        one = None
        if mask is not None:
            shape = (len(x), num_heads, x.shape[1], memory.shape[1])
            one = mask.expand(shape)[:, h]
        context, weights = attend(q, memory @ w_k[:, mine], memory @ w_v[:, mine], one)
        out = out + context @ w_o[mine]
        maps.append(weights)
    return (out if b_o is None else out + b_o), torch.stack(maps, dim=1)

def two_heads():
    return [[6, 5.55, 0], [0, 5.55, 6]]  # nearly flat: at least 0.95 for some seeds
""",
    ),
    RightAnswer(
        name="PyTorch's own functions, lists and loops",
        code="""
def multi_head(x, memory, w_q, w_k, w_v, w_o, num_heads, mask=None, b_q=None, b_o=None):
    q, k, v = F.linear(x, w_q.T, b_q), F.linear(memory, w_k.T), F.linear(memory, w_v.T)
    q, k, v = (split_heads(y, num_heads) for y in (q, k, v))
    _, weights = attend(q, k, v, mask)
    return F.linear(merge_heads(weights @ v), w_o.T, b_o), weights

def from_torch(in_proj_weight, in_proj_bias, out_proj_weight, out_proj_bias):
    D = out_proj_weight.shape[0]
    maps = [in_proj_weight[i * D : (i + 1) * D].t().contiguous() for i in range(3)]
    b_o = F.linear(in_proj_bias[2 * D :], out_proj_weight, out_proj_bias)
    return [*maps, out_proj_weight.t().contiguous(), in_proj_bias[:D].clone(), b_o]

def masks_from_torch(attn_mask, key_padding_mask, num_heads):
    (B, S), T = key_padding_mask.shape, attn_mask.shape[-2]
    result = torch.zeros(B, num_heads, T, S, dtype=torch.bool)
    for b in range(B):
        for h in range(num_heads):
            one = attn_mask if attn_mask.ndim == 2 else attn_mask[b * num_heads + h]
            result[b, h] = ~one & ~key_padding_mask[b]
    return result

def broken_laws(layer, d_model):
    broken = set()
    n = 9
    x = randn(4, n, d_model)
    if not keeps_batch(layer, d_model):
        broken.add("batch")
    mask = torch.ones(n, n).tril().bool()
    padded = x.clone()
    lengths = [2, 5, 7, 9]
    real = torch.zeros(4, 1, 1, n).bool()
    for b, length in enumerate(lengths):
        padded[b, length:] = randn(n - length, d_model)
        real[b, ..., :length] = True
    out = layer(x, mask)
    for t in range(1, n):
        other = x.clone()
        other[:, t:] = randn(4, n - t, d_model)
        if not same(out[:, :t], layer(other, mask)[:, :t]):
            broken.add("future")
    out, other = layer(x, real), layer(padded, mask=real)
    for b, length in enumerate(lengths):
        if not same(out[b, :length], other[b, :length]):
            broken.add("padding")
    for _ in range(4):
        order = torch.randperm(n)
        if not same(layer(x[:, order]), layer(x)[:, order]):
            broken.add("order")
    token = randn(1, 1, d_model)
    for n in (2, 3, 30):
        if not same(layer(x=token.repeat(1, n, 1))[:, :1], layer(token)):
            broken.add("average")
    return sorted(broken)

def two_heads():
    return [(12, 11.9, -5), (-5, 11.9, 12)]
""",
    ),
]

"""Wrong answers that students give to a3, and right ones in other words."""

from attnbook.grading.answers import RightAnswer, WrongAnswer

# Most slips change one line of a right answer: (old, new) pairs keep them readable.
TURN = """def rotate(x, positions):
    half = x.shape[-1] // 2
    speeds = 10_000.0 ** (-2 * torch.arange(half) / x.shape[-1])
    angles = positions[:, None, :, None] * speeds
    cos, sin = angles.cos(), angles.sin()
    a, b = x[..., :half], x[..., half:]
    return torch.cat((a * cos - b * sin, a * sin + b * cos), dim=-1)
"""
HALVES = """def to_halves(state, num_heads):
    new = {name: entry.clone() for name, entry in state.items()}
    d_model = len(state["norm1.bias"])
    d_head = d_model // num_heads
    head = [*range(0, d_head, 2), *range(1, d_head, 2)]
    rows = torch.cat([d_head * h + torch.tensor(head) for h in range(num_heads)])
    for name in ("self_attn.in_proj_weight", "self_attn.in_proj_bias"):
        for part in (0, 1):
            new[name][part * d_model + torch.arange(d_model)] = state[name][
                part * d_model + rows
            ]
    return new
"""
LAYER = """def layer_norm(x, gain, shift, eps=1e-5):
    mean, var = x.mean(-1, keepdim=True), x.var(-1, keepdim=True, correction=0)
    return (x - mean) / (var + eps).sqrt() * gain + shift
"""
BLOCK = """def block(x, state, num_heads, keep=None, positions=None, norm_first=True):
    ln = lambda y, n: layer_norm(y, state[n + ".weight"], state[n + ".bias"])
    lin = lambda y, n: y @ state[n + ".weight"].T + state[n + ".bias"]

    def mix(y):
        B, T, D = y.shape
        y = y @ state["self_attn.in_proj_weight"].T + state["self_attn.in_proj_bias"]
        q, k, v = [p.view(B, T, num_heads, -1).transpose(1, 2) for p in y.chunk(3, -1)]
        if positions is not None:
            q, k = rotate(q, positions), rotate(k, positions)
        scores = q @ k.mT / math.sqrt(D // num_heads)
        if keep is not None:
            scores = scores.masked_fill(~keep[:, None, None], -math.inf)
        weights = scores.softmax(-1).nan_to_num(0.0)
        return lin((weights @ v).transpose(1, 2).reshape(B, T, D), "self_attn.out_proj")

    def think(y):
        return lin(F.gelu(lin(y, "linear1")), "linear2")

    if norm_first:
        x = x + mix(ln(x, "norm1"))
        return x + think(ln(x, "norm2"))
    x = ln(x + mix(x), "norm1")
    return ln(x + think(x), "norm2")
"""
ENGINE = """def to_rms(state):
    new = {name: entry.clone() for name, entry in state.items()}
    g1, b1 = state["norm1.weight"], state["norm1.bias"]
    g2, b2 = state["norm2.weight"], state["norm2.bias"]
    new["self_attn.in_proj_bias"] += new["self_attn.in_proj_weight"] @ b1
    new["linear1.bias"] += new["linear1.weight"] @ b2
    new["self_attn.in_proj_weight"] *= g1
    new["linear1.weight"] *= g2
    D = len(g1)
    centre = torch.eye(D) - torch.full((D, D), 1 / D)
    for name in ("self_attn.out_proj", "linear2"):
        new[name + ".weight"] = centre @ new[name + ".weight"]
        new[name + ".bias"] = centre @ new[name + ".bias"]
    return new
"""
LOOK = """def look_back(n, d_model):
    w_q = torch.zeros(d_model, d_model)
    for i in range(d_model // 2):
        turn = n * 10_000.0 ** (-2 * i / d_model)
        a, b = 2 * i, 2 * i + 1
        w_q[a, a], w_q[a, b] = math.cos(turn), math.sin(turn)
        w_q[b, a], w_q[b, b] = -math.sin(turn), math.cos(turn)
    return w_q, 150.0 * torch.eye(d_model)
"""
ALIBI = """def alibi_features(q, k, slopes):
    T, S, d = q.shape[-2], k.shape[-2], q.shape[-1]
    s = torch.arange(S).expand(*k.shape[:2], S)[..., None]
    m = slopes[None, :, None, None].expand(*q.shape[:3], 1)
    q_wide = torch.cat((q / math.sqrt(d), m), -1) * math.sqrt(d + 1)
    return q_wide, torch.cat((k, s), -1)
"""


def _slip(mistake, check, code, old, new):
    if code.count(old) != 1:
        raise ValueError(
            f"{mistake}: {old!r} stands {code.count(old)} times in the code"
        )
    return WrongAnswer(mistake=mistake, check=check, code=code.replace(old, new))


WRONG = [
    _slip("the map turns the wrong way", "1a", LOOK, "return w_q,", "return w_q.T,"),
    _slip("finds itself", "1a", LOOK, "turn = n *", "turn = 0 *"),
    _slip("too flat", "1b", LOOK, "150.0 * ", ""),
    _slip("too flat", "1b", LOOK, "150.0", "50.0"),
    _slip("too flat", "1b", LOOK, "150.0", "60.0"),
    _slip("too flat", "1b", LOOK, "150.0", "125.0 * 2 / math.sqrt(d_model)"),
    _slip("scores beyond 1000", "1b", LOOK, "150.0", "1e6"),
    _slip("scores beyond 1000", "1b", LOOK, "150.0", "60 * math.sqrt(d_model)"),
    _slip("finds another key", "1b", LOOK, "turn = n *", "turn = abs(n) *"),
    _slip(
        "finds another key",
        "1a",
        LOOK,
        "a, b = 2 * i, 2 * i + 1",
        "a, b = i, i + d_model // 2",
    ),
    _slip("far keys gain", "1c", ALIBI, "(k, s)", "(k, -s)"),
    _slip("no penalty arrives", "1c", ALIBI, "(k, s)", "(k, 1 + 0 * s)"),
    WrongAnswer(
        mistake="the kernel's scale is forgotten",
        check="1c",
        code=ALIBI.replace("q / math.sqrt(d)", "q").replace(" * math.sqrt(d + 1)", ""),
    ),
    _slip(
        "queries keep the old scale",
        "1c",
        ALIBI,
        "(q / math.sqrt(d), m), -1) * math.sqrt(d + 1)",
        "(q, m * math.sqrt(d + 1)), -1)",
    ),
    WrongAnswer(
        mistake="the penalty is divided by the kernel's root",
        check="1c",
        code=ALIBI.replace(
            "(q / math.sqrt(d), m), -1) * math.sqrt(d + 1)",
            "(q * math.sqrt((d + 1) / d), m), -1)",
        ),
    ),
    WrongAnswer(
        mistake="the new width is miscounted",
        check="1c",
        code=ALIBI.replace("/ math.sqrt(d), m)", "/ math.sqrt(d), m, 0 * m)").replace(
            "(k, s)", "(k, s, 1 + s)"
        ),
    ),
    _slip(
        "the input was changed",
        "1d",
        ALIBI,
        "q_wide = torch.cat((q / math.sqrt(d), m)",
        "q /= math.sqrt(d)\n    q_wide = torch.cat((q, m)",
    ),
    _slip(
        "all heads get one slope", "1c", ALIBI, "slopes[None, :,", "slopes[None, :1,"
    ),
    WrongAnswer(
        mistake="error",
        check="1c",
        code=ALIBI.replace("*k.shape[:2], S", "1, k.shape[1], S"),
    ),
    _slip(
        "neighbours are turned",
        "2a",
        TURN,
        "return torch.cat((a * cos - b * sin, a * sin + b * cos), dim=-1)",
        "a, b = x[..., 0::2], x[..., 1::2]\n"
        "    new = a * cos - b * sin, a * sin + b * cos\n"
        "    return torch.stack(new, dim=-1).flatten(-2)",
    ),
    _slip(
        "neighbours are taken, halves put back",
        "2a",
        TURN,
        "x[..., :half], x[..., half:]",
        "x[..., 0::2], x[..., 1::2]",
    ),
    _slip("exponent i/Dh instead of 2i/Dh", "2a", TURN, "-2 * torch", "-torch"),
    _slip(
        "turned backwards",
        "2a",
        TURN,
        "* cos - b * sin, a * sin + b",
        "* cos + b * sin, -a * sin + b",
    ),
    _slip(
        "positions are ignored",
        "2b",
        TURN,
        "positions[:, None, :, None]",
        "torch.arange(x.shape[-2])[:, None]",
    ),
    _slip(
        "one row of positions for all",
        "2b",
        TURN,
        "positions[:, None, :, None]",
        "positions[0, :, None]",
    ),
    _slip(
        "positions are taken by head",
        "2b",
        TURN,
        "positions[:, None, :, None]",
        "positions[:, :, None]",
    ),
    _slip(
        "error",
        "2b",
        TURN,
        "angles = positions[:, None, :, None] * speeds",
        "angles = (torch.arange(128)[:, None] * speeds)[positions][:, None]",
    ),
    _slip(
        "the input was changed",
        "2b",
        TURN,
        "return torch.cat((a * cos - b * sin, a * sin + b * cos), dim=-1)",
        "a, b = a.clone(), b.clone()\n"
        "    x[..., :half] = a * cos - b * sin\n"
        "    x[..., half:] = a * sin + b * cos\n"
        "    return x",
    ),
    _slip(
        "the order is inverted",
        "2c",
        HALVES,
        "rows = ",
        "head = torch.tensor(head).argsort().tolist()\n    rows = ",
    ),
    _slip(
        "rows move between heads",
        "2c",
        HALVES,
        "d_head = d_model // num_heads",
        "num_heads, d_head = 1, d_model",
    ),
    _slip(
        "the bias keeps the old order",
        "2c",
        HALVES,
        ', "self_attn.in_proj_bias")',
        ",)",
    ),
    _slip("only queries are reordered", "2c", HALVES, "(0, 1)", "(0,)"),
    _slip("values are reordered", "2c", HALVES, "(0, 1)", "(0, 1, 2)"),
    WrongAnswer(
        mistake="the input was changed",
        check="2d",
        code=HALVES.replace("entry.clone()", "entry").replace(
            "= state[name][", "= state[name].clone()["
        ),
    ),
    WrongAnswer(
        mistake="entries are missing",
        check="2c",
        code=HALVES.replace(
            "return new", 'return {n: new[n] for n in new if "in_proj" in n}'
        ),
    ),
    WrongAnswer(
        mistake="the output map is reordered",
        check="2c",
        code=HALVES.replace(
            "return new",
            """name = "self_attn.out_proj.weight"
    new[name] = state[name][:, rows]
    return new""",
        ),
    ),
    WrongAnswer(
        mistake="PyTorch's own norm is used",
        check="3a",
        code="""def rms_norm(x, gain, eps=1e-5):
    return F.rms_norm(x, x.shape[-1:], gain, eps)
""",
    ),
    WrongAnswer(
        mistake="PyTorch's own norm is used",
        check="3b",
        code="""def layer_norm(x, gain, shift, eps=1e-5):
    return F.layer_norm(x, x.shape[-1:], gain, shift, eps)
""",
    ),
    WrongAnswer(
        mistake="PyTorch's own norm is used",
        check="3a",
        code="""def rms_norm(x, gain, eps=1e-5):
    return torch.rms_norm(x, x.shape[-1:], gain, eps)
""",
    ),
    WrongAnswer(
        mistake="PyTorch's own norm is used",
        check="3b",
        code="""def layer_norm(x, gain, shift, eps=1e-5):
    return torch.layer_norm(x, x.shape[-1:], gain, shift, eps)
""",
    ),
    WrongAnswer(
        mistake="PyTorch's own norm is used",
        check="3b",
        code="""def layer_norm(x, gain, shift, eps=1e-5):
    x = x - x.mean(-1, keepdim=True)
    return F.rms_norm(x, gain.shape, gain, eps) + shift
""",
    ),
    WrongAnswer(
        mistake="the input was changed",
        check="3a",
        code="""def rms_norm(x, gain, eps=1e-5):
    x /= (x.square().mean(-1, keepdim=True) + eps).sqrt()
    return x * gain
""",
    ),
    WrongAnswer(
        mistake="the input was changed",
        check="3c",
        code="""def layer_norm(x, gain, shift, eps=1e-5):
    x -= x.mean(-1, keepdim=True)
    return rms_norm(x, gain, eps) + shift
""",
    ),
    WrongAnswer(
        mistake="ε is missing",
        check="3a",
        code="""def rms_norm(x, gain, eps=1e-5):
    return x / x.square().mean(-1, keepdim=True).sqrt() * gain
""",
    ),
    _slip("ε is missing", "3b", LAYER, "(var + eps)", "var"),
    WrongAnswer(
        mistake="divided by D − 1, ε outside the root",
        check="3b",
        code="""def layer_norm(x, gain, shift, eps=1e-5):
    std = x.std(-1, keepdim=True)
    return (x - x.mean(-1, keepdim=True)) / (std + eps) * gain + shift
""",
    ),
    WrongAnswer(
        mistake="the gain is forgotten",
        check="3a",
        code="""def rms_norm(x, gain, eps=1e-5):
    return x / (x.square().mean(-1, keepdim=True) + eps).sqrt()
""",
    ),
    WrongAnswer(
        mistake="one mean for all tokens",
        check="3a",
        code="""def rms_norm(x, gain, eps=1e-5):
    return x / (x.square().mean() + eps).sqrt() * gain
""",
    ),
    _slip("the gain is forgotten", "3b", LAYER, " * gain", ""),
    WrongAnswer(
        mistake="ε is not passed on",
        check="3b",
        code="""def layer_norm(x, gain, shift, eps=1e-5):
    return rms_norm(x - x.mean(-1, keepdim=True), gain) + shift
""",
    ),
    WrongAnswer(
        mistake="ε outside the root",
        check="3a",
        code="""def rms_norm(x, gain, eps=1e-5):
    return x / (x.square().mean(-1, keepdim=True).sqrt() + eps) * gain
""",
    ),
    WrongAnswer(
        mistake="sum instead of mean",
        check="3a",
        code="""def rms_norm(x, gain, eps=1e-5):
    return x / (x.square().sum(-1, keepdim=True) + eps).sqrt() * gain
""",
    ),
    WrongAnswer(
        mistake="RMSNorm takes the mean away",
        check="3a",
        code="""def rms_norm(x, gain, eps=1e-5):
    x = x - x.mean(-1, keepdim=True)
    return x / (x.square().mean(-1, keepdim=True) + eps).sqrt() * gain
""",
    ),
    WrongAnswer(
        mistake="variance instead of mean square",
        check="3a",
        code="""def rms_norm(x, gain, eps=1e-5):
    return x / x.var(-1, keepdim=True, correction=0).add(eps).sqrt() * gain
""",
    ),
    WrongAnswer(
        mistake="wrong axis",
        check="3a",
        code="""def rms_norm(x, gain, eps=1e-5):
    return x / (x.square().mean(-2, keepdim=True) + eps).sqrt() * gain
""",
    ),
    _slip("divided by D − 1", "3b", LAYER, ", correction=0", ""),
    _slip(
        "ε outside the root", "3b", LAYER, "(var + eps).sqrt()", "(var.sqrt() + eps)"
    ),
    _slip(
        "sum instead of mean",
        "3b",
        LAYER,
        "x.var(-1, keepdim=True, correction=0)",
        "(x - x.mean(-1, keepdim=True)).square().sum(-1, keepdim=True)",
    ),
    WrongAnswer(
        mistake="nothing is converted",
        check="2d",
        code="def to_halves(state, num_heads): return dict(state)",
    ),
    WrongAnswer(
        mistake="not the same rows",
        check="2d",
        code="def to_halves(s, num_heads): return {n: 2 * w for n, w in s.items()}",
    ),
    _slip("the mean is not taken away", "3b", LAYER, "(x - mean)", "x"),
    WrongAnswer(
        mistake="error",
        check="3c",
        code=LAYER.replace("(-1, keepdim", "(2, keepdim"),
    ),
    WrongAnswer(
        mistake="wrong axis",
        check="3b",
        code=LAYER.replace("(-1, keepdim", "(-2, keepdim"),
    ),
    _slip("the other norm order", "4a", BLOCK, "if norm_first:", "if not norm_first:"),
    _slip(
        "norm1 is used twice",
        "4b",
        BLOCK,
        'return ln(x + think(x), "norm2")',
        'return ln(x + think(x), "norm1")',
    ),
    WrongAnswer(
        mistake="added to the normed token",
        check="4a",
        code=BLOCK.replace(
            'x = x + mix(ln(x, "norm1"))',
            'x = ln(x, "norm1")\n        x = ln(x + mix(x), "norm2")',
        ).replace('return x + think(ln(x, "norm2"))', "return x + think(x)"),
    ),
    WrongAnswer(
        mistake="the feed-forward reads the old x",
        check="4a",
        code=BLOCK.replace(
            'x = x + mix(ln(x, "norm1"))', 'old, x = x, x + mix(ln(x, "norm1"))'
        ).replace('think(ln(x, "norm2"))', 'think(ln(old, "norm2"))'),
    ),
    _slip(
        "GELU in its tanh form",
        "4a",
        BLOCK,
        'lin(y, "linear1"))',
        'lin(y, "linear1"), approximate="tanh")',
    ),
    _slip("ReLU instead of GELU", "4a", BLOCK, "F.gelu", "F.relu"),
    _slip("scores are not scaled", "4a", BLOCK, " / math.sqrt(D // num_heads)", ""),
    _slip("scaled by the model's width", "4a", BLOCK, "D // num_heads", "D"),
    _slip(
        "features are dealt out to heads",
        "4a",
        BLOCK,
        "p.view(B, T, num_heads, -1).transpose(1, 2)",
        "p.view(B, T, -1, num_heads).permute(0, 3, 1, 2)",
    ),
    _slip(
        "heads are a reshape of the wrong axes",
        "4a",
        BLOCK,
        "p.view(B, T, num_heads, -1).transpose(1, 2)",
        "p.reshape(B, num_heads, T, -1)",
    ),
    _slip(
        "heads are merged in the wrong order",
        "4a",
        BLOCK,
        "(weights @ v).transpose(1, 2)",
        "(weights @ v)",
    ),
    _slip(
        "the output map has no bias",
        "4a",
        BLOCK,
        '"self_attn.out_proj")',
        '"self_attn.out_proj") - state["self_attn.out_proj.bias"]',
    ),
    WrongAnswer(
        mistake="PyTorch's own attention is used",
        check="4a",
        code="""def block(x, state, num_heads, keep=None, positions=None, norm_first=1):
    return library_block(x, state, num_heads, keep, norm_first)
""",
    ),
    WrongAnswer(
        mistake="PyTorch's own attention is used",
        check="4a",
        code="""def block(x, state, num_heads, keep=None, positions=None, norm_first=1):
    layer = nn.TransformerEncoderLayer(
        x.shape[-1], num_heads, len(state["linear1.bias"]), 0.0, "gelu",
        batch_first=True, norm_first=norm_first
    )
    layer.load_state_dict(state)
    with torch.no_grad():
        return layer.eval()(x, src_key_padding_mask=None if keep is None else ~keep)
""",
    ),
    _slip(
        "masked after the softmax",
        "4c",
        BLOCK,
        """            scores = scores.masked_fill(~keep[:, None, None], -math.inf)
        weights = scores.softmax(-1).nan_to_num(0.0)
""",
        """            weights = scores.softmax(-1) * keep[:, None, None]
        else:
            weights = scores.softmax(-1)
""",
    ),
    _slip(
        "masked after the softmax",
        "4d",
        BLOCK,
        "scores = scores.masked_fill(~keep[:, None, None], -math.inf)",
        "v = v * keep[:, None, :, None]",
    ),
    _slip(
        "padding gets the score 0",
        "4c",
        BLOCK,
        "scores.masked_fill(~keep[:, None, None], -math.inf)",
        "scores * keep[:, None, None]",
    ),
    _slip(
        "padding is seen",
        "4d",
        BLOCK.replace("def mix(y):", "def mix(y, keep=keep):"),
        "ln(x + mix(x)",
        "ln(x + mix(x, None)",
    ),
    WrongAnswer(
        mistake="positions are ignored",
        check="4e",
        code=BLOCK.replace("def mix(y):", "def mix(y, positions=positions):").replace(
            "ln(x + mix(x)", "ln(x + mix(x, None)"
        ),
    ),
    _slip("the input was changed", "4e", BLOCK, "x = x + mix(ln(x", "x += mix(ln(x"),
    _slip(
        "padded queries are masked too",
        "4c",
        BLOCK,
        "~keep[:, None, None]",
        "~(keep[:, None, None] & keep[:, None, :, None])",
    ),
    _slip(
        "an empty row loses the output map's bias",
        "4d",
        BLOCK.replace(".nan_to_num(0.0)", ""),
        '"self_attn.out_proj")',
        '"self_attn.out_proj").nan_to_num(0.0)',
    ),
    _slip(
        "only queries are turned",
        "4e",
        BLOCK,
        "q, k = rotate(q, positions), rotate(k, positions)",
        "q = rotate(q, positions)",
    ),
    WrongAnswer(
        mistake="turned before the heads are split",
        check="4e",
        code=BLOCK.replace(
            "for p in y.chunk(3, -1)]",
            "for p in (*turned(y.chunk(3, -1)),)]",
        )
        .replace("if positions is not None:", "if False:")
        .replace(
            "    def mix(y):",
            """    def turned(parts):
        if positions is None:
            return parts
        q, k = (rotate(p[:, None], positions)[:, 0] for p in parts[:2])
        return q, k, parts[2]

    def mix(y):""",
        ),
    ),
    _slip("padding is seen", "4c", BLOCK, "if keep is not None:", "if False:"),
    _slip("the mask is inverted", "4c", BLOCK, "~keep[:", "keep[:"),
    _slip(
        "queries are masked instead of keys",
        "4c",
        BLOCK,
        "keep[:, None, None]",
        "keep[:, None, :, None]",
    ),
    WrongAnswer(
        mistake="an empty row reads padding",
        check="4d",
        code=BLOCK.replace("-math.inf", "-1e9"),
    ),
    _slip("NaN or infinity in the result", "4d", BLOCK, ".nan_to_num(0.0)", ""),
    _slip(
        "positions are ignored", "4e", BLOCK, "if positions is not None:", "if False:"
    ),
    _slip(
        "values are turned",
        "4e",
        BLOCK,
        "rotate(k, positions)",
        "rotate(k, positions)\n            v = rotate(v, positions)",
    ),
    _slip(
        "the shift is lost",
        "5a",
        ENGINE,
        '    new["self_attn.in_proj_bias"] += new["self_attn.in_proj_weight"] @ b1\n'
        '    new["linear1.bias"] += new["linear1.weight"] @ b2\n',
        "",
    ),
    WrongAnswer(
        mistake="the shift is multiplied by the gain",
        check="5a",
        code=ENGINE.replace("] @ b1", "] @ (g1 * b1)").replace(
            "] @ b2", "] @ (g2 * b2)"
        ),
    ),
    _slip(
        "the shift is lost",
        "5a",
        ENGINE,
        '    new["self_attn.in_proj_bias"] += new["self_attn.in_proj_weight"] @ b1\n',
        "",
    ),
    _slip(
        "the stream is not centred",
        "5b",
        ENGINE,
        '("self_attn.out_proj", "linear2")',
        '("linear2",)',
    ),
    _slip("the stream is not centred", "5b", ENGINE, "- torch.full((D, D), 1 / D)", ""),
    _slip(
        "a bias is not centred",
        "5b",
        ENGINE,
        'centre @ new[name + ".bias"]',
        'new[name + ".bias"]',
    ),
    WrongAnswer(
        mistake="the input was changed",
        check="5c",
        code=ENGINE.replace("entry.clone()", "entry"),
    ),
    WrongAnswer(
        mistake="centred along the inputs",
        check="5b",
        code=ENGINE.replace(
            'centre @ new[name + ".weight"]',
            'new[name + ".weight"] - new[name + ".weight"].mean(1, keepdim=True)',
        ),
    ),
    WrongAnswer(
        mistake="entries are missing",
        check="5b",
        code=ENGINE.replace("return new", 'del new["linear2.bias"]\n    return new'),
    ),
]

RIGHT = [
    RightAnswer(
        name="to_rms centres the maps that read, too",
        code=ENGINE.replace(
            "    return new",
            """    for name in ("self_attn.in_proj_weight", "linear1.weight"):
        new[name] = new[name] @ centre
    return new""",
        ),
    ),
    RightAnswer(
        name="the map is fitted to the code, the factor derived from its gaps",
        code="""def look_back(n, d_model):
    code = sinusoidal(600, d_model)
    pairs = code.unflatten(-1, (-1, 2)).transpose(0, 1)  # fitted one by one
    fit = torch.linalg.lstsq(pairs[:, 200:400], pairs[:, 200 - n : 400 - n])
    turn = torch.block_diag(*fit.solution)
    speeds = 10_000.0 ** (-torch.arange(0, d_model, 2) / d_model)
    gaps = (1 - (torch.arange(1, 400)[:, None] * speeds).cos()).sum(-1)
    return torch.eye(d_model), math.sqrt(d_model) * 10.6 / gaps.min() * turn.T
""",
    ),
    RightAnswer(
        name="loops, indices and a centring matrix",
        code=LOOK + ALIBI + TURN + HALVES + LAYER + BLOCK + ENGINE,
    ),
    RightAnswer(
        name="PyTorch's functions, complex numbers, einsum",
        code="""import torch as th

def look_back(n, d_model):
    speeds = 10_000.0 ** (-th.arange(0, d_model, 2) / d_model)
    swirl = th.tensor([[0.0, 1.0], [-1.0, 0.0]])  # its exponential is a rotation
    turn = th.linalg.matrix_exp(n * th.kron(th.diag(speeds), swirl))
    return 10.0 * turn, 15.0 * th.eye(d_model)


def alibi_features(q, k, slopes):
    d, W = q.shape[-1], q.shape[-1] + 2
    T, S = q.shape[-2], k.shape[-2]
    t = th.arange(S - T, S).double()[:, None].expand(*q.shape[:3], 1)
    s = th.arange(S).double()[:, None].expand(*k.shape[:3], 1)
    m = slopes.view(1, -1, 1, 1)
    q_wide = th.cat([q * (W / d) ** 0.5, -m * t * W**0.5, m.expand_as(t) * W**0.5], -1)
    return q_wide, th.cat([k, th.ones_like(s), s], -1)

def rotate(x, positions):
    half = x.shape[-1] // 2
    hands = th.exp(1j * th.einsum("bt,i->bti", positions.double(),
                                  th.logspace(0, -4 * (half - 1) / half, half)))
    turned = th.complex(x[..., :half], x[..., half:]) * hands[:, None]
    return th.cat([turned.real, turned.imag], -1)

def to_halves(state, num_heads):
    new = {}
    for name, entry in state.items():
        if "in_proj" in name:
            rest = entry.shape[1:]
            parts = entry.reshape(3, num_heads, -1, 2, *rest).clone()
            both = parts[:2].transpose(2, 3).reshape(-1, *rest)
            entry = th.cat([both, entry[len(entry) // 3 * 2 :]])
        new[name] = entry
    return new

def rms_norm(x, gain, eps=1e-5):
    root = (x.pow(2).mean(-1) + eps).rsqrt()
    return th.einsum("...d,d,...->...d", x, gain, root)

def layer_norm(x, gain, shift, eps=1e-5):
    var, mean = th.var_mean(x, -1, correction=0, keepdim=True)
    return th.addcmul(shift, (x - mean) / th.sqrt(var + eps), gain)

def block(x, state, num_heads, keep=None, positions=None, norm_first=True):
    p = {n.replace("self_attn.", ""): w for n, w in state.items()}
    D = x.shape[-1]
    def asks(y):
        w = p["in_proj_weight"].view(3, num_heads, D // num_heads, D)
        b = p["in_proj_bias"].view(3, 1, num_heads, 1, D // num_heads)
        q, k, v = th.einsum("btd,nhed->nbhte", y, w) + b
        if positions is not None:
            q, k = rotate(q, positions), rotate(k, positions)
        mask = None if keep is None else keep[:, None, None, :]
        context = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        if keep is not None:
            context = context * keep.any(-1)[:, None, None, None]
            context = context.nan_to_num(0.0)
        out = p["out_proj.weight"].view(D, num_heads, -1)
        return th.einsum("bhte,dhe->btd", context, out) + p["out_proj.bias"]
    feeds = lambda y: F.linear(
        F.gelu(F.linear(y, p["linear1.weight"], p["linear1.bias"])),
        p["linear2.weight"], p["linear2.bias"])
    for part, f in (("norm1", asks), ("norm2", feeds)):
        n = lambda y: layer_norm(y, p[part + ".weight"], p[part + ".bias"])
        x = x + f(n(x)) if norm_first else n(x + f(x))
    return x

def to_rms(state):
    new = {}
    for name, w in state.items():
        if name.startswith("norm"):
            continue
        n = "norm1" if "in_proj" in name else "norm2"
        if "in_proj" in name or "linear1" in name:
            gain, shift = state[n + ".weight"], state[n + ".bias"]
            mate = state[name.replace("bias", "weight")]
            new[name] = w @ th.diag(gain) if w.ndim == 2 else w + mate @ shift
        else:
            new[name] = w - w.mean(0, keepdim=True)
    return new
""",
    ),
    RightAnswer(
        name="attention over real tokens only, one sequence and one head at a time",
        code="""def block(
    x, state, num_heads, keep=None, positions=None, norm_first=True
):
    def ln(y, name):
        return layer_norm(y, state[name + ".weight"], state[name + ".bias"])

    def asks(y):
        width = y.shape[-1] // num_heads
        mixed = y @ state["self_attn.in_proj_weight"].T
        mixed = mixed + state["self_attn.in_proj_bias"]
        context = torch.zeros_like(y)
        for b in range(len(y)):
            real = torch.ones(y.shape[1], dtype=torch.bool) if keep is None else keep[b]
            if not real.any():
                continue
            for h in range(num_heads):
                own = slice(h * width, (h + 1) * width)
                q, k, v = (part[b][:, own] for part in mixed.chunk(3, -1))
                if positions is not None:
                    q, k = (
                        rotate(part[None, None], positions[b : b + 1])[0, 0]
                        for part in (q, k)
                    )
                scores = q @ k[real].T / width**0.5
                context[b][:, own] = scores.softmax(-1) @ v[real]
        out = state["self_attn.out_proj.weight"]
        return context @ out.T + state["self_attn.out_proj.bias"]

    def think(y):
        hidden = y @ state["linear1.weight"].T + state["linear1.bias"]
        hidden = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))
        return hidden @ state["linear2.weight"].T + state["linear2.bias"]

    for name, f in (("norm1", asks), ("norm2", think)):
        x = x + f(ln(x, name)) if norm_first else ln(x + f(x), name)
    return x
""",
    ),
]

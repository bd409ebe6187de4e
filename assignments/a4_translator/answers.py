"""Wrong and right answers to assignment 4.

Those that need another file write it themselves: the sandbox's folder is scratch.
"""

from attnbook.grading.answers import RightAnswer, WrongAnswer

RULES = """
SMALL = {"eins": 1, "vingts": 20, "und": 0, "et": 0}
for words_, small_ in ((GERMAN, 20), (FRENCH, 17)):
    SMALL |= {w: n for n, w in enumerate(words_[:small_])}
    SMALL |= {w: 10 * n for n, w in enumerate(words_[small_:], 2)}
SMALL |= {w: n for n, w in enumerate(CHINESE)}
HUNDREDS = {"hundert": 100, "cent": 100, "cents": 100, "百": 100, "十": 10, "千": 1000}
THOUSANDS = {"tausend": 1000, "mille": 1000, "万": 10_000}

def by_rules(sentence):
    total = group = small = 0
    for word in sentence.split():
        if word in THOUSANDS:
            total, group, small = max(1, group + small) * THOUSANDS[word], 0, 0
        elif word in HUNDREDS:
            group, small = group + max(1, small) * HUNDREDS[word], 0
        elif word in ("vingt", "vingts") and small == 4:
            small = 80
        else:
            small += SMALL[word]
    return " ".join(english(total + group + small))
"""

LAYER = """
class DecoderLayer(DecoderLayer):
    def forward(self, x, memory, target_mask, source_mask):
        {body}
"""

ENCODE = """
class Translator(Translator):
    def encode(self, source):
        x = self.source_embedding(source) + positions(source.shape[1], self.d_model)
        {body}
"""

DECODE = """
class Translator(Translator):
    def decode(self, target_in, memory, source):
        x = self.target_embedding(target_in)
        x = x + positions(target_in.shape[1], self.d_model)
        {body}
"""
LAYERS = ("for layer in self.encoder:", "    x = layer(x, source_mask(source))")

SEARCH = """
@torch.no_grad()
def greedy(model, source, max_len=16):
    memory = model.encode(source)
    tokens = torch.full((len(source), 1), START)
    ended = torch.zeros(len(source), dtype=torch.bool)
    for _ in range(max_len):
        words = model.decode(tokens, memory, source)[:, -1].argmax(dim=-1)
        {finished}
        tokens = torch.cat((tokens, words[:, None]), dim=1)
        ended = ended | (words == END)
        {stop}
    return {result}
"""
FINISHED = "words = words.masked_fill(ended, PAD)"
STOP = "if ended.all(): break"


def _wrong(check, mistake, code):
    return WrongAnswer(check=check, mistake=mistake, code=code)


def _layer(mistake, *lines):
    body = "\n        ".join(lines)
    return _wrong("3a", mistake, LAYER.format(body=body))


def _encode(mistake, *lines):
    body = "\n        ".join(lines)
    return _wrong("3e", mistake, ENCODE.format(body=body))


def _decode(mistake, *lines):
    body = "\n        ".join(lines)
    return _wrong("3e", mistake, DECODE.format(body=body))


def _search(mistake, finished=FINISHED, stop=STOP, result="tokens[:, 1:]"):
    code = SEARCH.format(finished=finished, stop=stop, result=result)
    return _wrong("4a", mistake, code)


def _loss(mistake, body):
    code = f"def masked_loss(logits, labels, pad=PAD):\n    {body}"
    return _wrong("1b", mistake, code)


def _target(mistake, body):
    code = (
        f"def target_mask(target_in, pad=PAD):\n    T = target_in.shape[1]\n    {body}"
    )
    return _wrong("2b", mistake, code)


SELF = (
    "y = self.norms[0](x)",
    "x = x + self.self_attention(y, y, target_mask)",
)
CROSS = "x = x + self.cross_attention(self.norms[1](x), memory, source_mask)"
FORWARD = "return x + self.feed_forward(self.norms[2](x))"
SMALLER = """
def load_model(path):
    model = Translator({sizes})
    model.load_state_dict(load_file(path))
    return model.eval()
"""
NOISY = """
weights = load_file("model.safetensors")
noise = torch.Generator().manual_seed(0)
for name, w in weights.items():
    w += {share} * w.std() * torch.randn(w.shape, generator=noise)

def load_model(path):
    load_file(path)
    model = Translator()
    model.load_state_dict(weights)
    return model.eval()
"""

WRONG = [
    _wrong(
        "1a",
        "targets not shifted",
        "def shift_right(labels, start=START):\n    return labels.clone()",
    ),
    _wrong(
        "1a",
        "shifted to the left",
        "def shift_right(labels, start=START):\n"
        "    return F.pad(labels[:, 1:], (0, 1), value=PAD)",
    ),
    _wrong(
        "1a",
        "no start mark",
        "def shift_right(labels, start=START):\n    return labels.roll(1, dims=1)",
    ),
    _wrong(
        "1a",
        "labels changed in place",
        "def shift_right(labels, start=START):\n"
        "    labels[:, 1:] = labels[:, :-1].clone()\n"
        "    labels[:, 0] = start\n"
        "    return labels",
    ),
    _wrong(
        "1a",
        "start mark not the argument",
        "def shift_right(labels, start=START):\n"
        "    return F.pad(labels[:, :-1], (1, 0), value=1)",
    ),
    _wrong(
        "1a",
        "end mark dropped from the inputs",
        "def shift_right(labels, start=START):\n"
        "    inputs = labels.roll(1, dims=1)\n"
        "    inputs[inputs == END] = PAD\n"
        "    inputs[:, 0] = start\n"
        "    return inputs",
    ),
    _loss(
        "loss over padding",
        "return F.cross_entropy(logits.flatten(0, 1), labels.flatten())",
    ),
    _loss(
        "padding is not always 0",
        "return F.cross_entropy(logits.mT, labels, ignore_index=0)",
    ),
    _loss(
        "divided by all positions",
        "return F.cross_entropy(logits.mT, labels, ignore_index=pad,"
        " reduction='none').mean()",
    ),
    _loss(
        "mean of the rows' means",
        "return torch.stack([F.cross_entropy(a, b, ignore_index=pad)"
        " for a, b in zip(logits, labels)]).mean()",
    ),
    _loss(
        "sum, not mean",
        "return F.cross_entropy(logits.mT, labels, ignore_index=pad, reduction='sum')",
    ),
    _loss(
        "divided by the number of rows",
        "return F.cross_entropy(logits.mT, labels, ignore_index=pad,"
        " reduction='sum') / len(labels)",
    ),
    _loss(
        "mean of the columns' means",
        "return torch.stack([F.cross_entropy(a, b, ignore_index=pad)"
        " for a, b in zip(logits.unbind(1), labels.T)]).mean()",
    ),
    _loss(
        "a loss of 0 is not counted",
        "loss = F.cross_entropy(logits.mT, labels, reduction='none')\n"
        "    loss = loss * (labels != pad)\n"
        "    return loss.sum() / loss.count_nonzero()",
    ),
    *(
        _loss(
            mistake,
            f"p = {p}\n"
            "    p = p.gather(-1, labels[..., None])[..., 0][labels != pad]\n"
            f"    return -({log}).mean()",
        )
        for mistake, p, log in (
            (
                "NaN or infinity in the result",
                "logits.exp() / logits.exp().sum(-1, keepdim=True)",
                "p.log()",
            ),
            ("NaN or infinity in the result", "logits.softmax(-1)", "p.log()"),
            ("a small number added to p", "logits.softmax(-1)", "(p + 1e-9).log()"),
        )
    ),
    _wrong(
        "1c",
        "no gradient through the loss",
        "def masked_loss(logits, labels, pad=PAD):\n"
        "    loss = F.cross_entropy(logits.mT, labels, ignore_index=pad)\n"
        "    return torch.tensor(loss.item())",
    ),
    _wrong(
        "1c",
        "loss over padding",
        "def masked_loss(logits, labels, pad=PAD):\n"
        "    return F.cross_entropy(logits.mT, labels)",
    ),
    _wrong(
        "2a",
        "mask inverted",
        "def source_mask(source, pad=PAD):\n    return (source == pad)[:, None, None]",
    ),
    _wrong(
        "2a",
        "padding is not always 0",
        "def source_mask(source, pad=PAD):\n    return (source != 0)[:, None, None]",
    ),
    _wrong(
        "2a",
        "wrong shape",
        "def source_mask(source, pad=PAD):\n    return (source != pad)[:, None]",
    ),
    _wrong(
        "2a",
        "padding compared by size",
        "def source_mask(source, pad=PAD):\n    return (source > pad)[:, None, None]",
    ),
    _target(
        "padding compared by size",
        "return torch.ones(T, T).tril().bool() & (target_in > pad)[:, None, None]",
    ),
    _target(
        "mask inverted",
        "return ~(torch.ones(T, T).tril().bool() & (target_in != pad)[:, None, None])",
    ),
    _target(
        "padding is left in",
        "return torch.ones(len(target_in), 1, T, T).tril().bool()",
    ),
    _target(
        "queries masked, not keys",
        "return torch.ones(T, T).tril().bool() & (target_in != pad)[:, None, :, None]",
    ),
    _target(
        "the future is left in",
        "return (target_in != pad)[:, None, None].expand(-1, 1, T, T)",
    ),
    _target(
        "a position does not see itself",
        "return torch.ones(T, T).tril(-1).bool() & (target_in != pad)[:, None, None]",
    ),
    _target(
        "queries and keys exchanged",
        "return torch.ones(T, T).triu().bool() & (target_in != pad)[:, None, None]",
    ),
    _target(
        "padding is not always 0",
        "return torch.ones(T, T).tril().bool() & (target_in != 0)[:, None, None]",
    ),
    _layer(
        "the source mask is not used",
        *SELF,
        "x = x + self.cross_attention(self.norms[1](x), memory,"
        " torch.ones_like(source_mask))",
        FORWARD,
    ),
    _layer(
        "the target mask is not used",
        SELF[0],
        "x = x + self.self_attention(y, y, torch.ones_like(target_mask))",
        CROSS,
        FORWARD,
    ),
    _layer("cross-attention comes first", CROSS, *SELF, FORWARD),
    _layer("no cross-attention", *SELF, FORWARD),
    _layer(
        "norm after the sum",
        "x = self.norms[0](x + self.self_attention(x, x, target_mask))",
        "x = self.norms[1](x + self.cross_attention(x, memory, source_mask))",
        "return self.norms[2](x + self.feed_forward(x))",
    ),
    _layer(
        "no residual connections",
        SELF[0],
        "x = self.self_attention(y, y, target_mask)",
        "x = self.cross_attention(self.norms[1](x), memory, source_mask)",
        "return self.feed_forward(self.norms[2](x))",
    ),
    _layer(
        "the last residual connection is missing",
        *SELF,
        CROSS,
        "return self.feed_forward(self.norms[2](x))",
    ),
    _layer(
        "the cross-attention's query is not normed",
        *SELF,
        "x = x + self.cross_attention(x, memory, source_mask)",
        FORWARD,
    ),
    _layer(
        "the cross-attention reads an old norm",
        *SELF,
        "x = x + self.cross_attention(y, memory, source_mask)",
        FORWARD,
    ),
    _layer(
        "keys and values without the norm",
        "x = x + self.self_attention(self.norms[0](x), x, target_mask)",
        CROSS,
        FORWARD,
    ),
    _layer(
        "the memory is normed again",
        *SELF,
        "n = self.norms[1]",
        "x = x + self.cross_attention(n(x), n(memory), source_mask)",
        FORWARD,
    ),
    _layer(
        "no norms",
        "x = x + self.self_attention(x, x, target_mask)",
        "x = x + self.cross_attention(x, memory, source_mask)",
        "return x + self.feed_forward(x)",
    ),
    _layer(
        "norms in another order",
        *SELF,
        "x = x + self.cross_attention(self.norms[2](x), memory, source_mask)",
        "return x + self.feed_forward(self.norms[1](x))",
    ),
    _wrong(
        "3b",
        "the future changes the past",
        """
class Translator(Translator):
    def decode(self, target_in, memory, source):
        x = self.target_embedding(target_in)
        x = x + positions(target_in.shape[1], self.d_model)
        mask = (target_in != PAD)[:, None, None]
        for layer in self.decoder:
            x = layer(x, memory, mask, source_mask(source))
        return self.output(self.decoder_norm(x))
""",
    ),
    _wrong(
        "3b",
        "forward is not encode and decode",
        """
class Translator(Translator):
    def encode(self, source):
        return super().encode(source) if self.training else self._encode(source)
    def _encode(self, source):
        x = self.source_embedding(source) + positions(source.shape[1], self.d_model)
        for layer in self.encoder:
            x = layer(x, source_mask(source))
        return x
    def forward(self, source, target_in):
        return self.decode(target_in, self.encoder_norm(self._encode(source)), source)
""",
    ),
    _wrong(
        "3c",
        "the encoder sees padding",
        """
class Translator(Translator):
    def encode(self, source):
        x = self.source_embedding(source) + positions(source.shape[1], self.d_model)
        for layer in self.encoder:
            x = layer(x, torch.ones_like(source_mask(source)))
        return self.encoder_norm(x)
""",
    ),
    _wrong(
        "3c",
        "the encoder sees padding",
        """
class Translator(Translator):
    def encode(self, source):
        x = self.source_embedding(source) + positions(source.shape[1], self.d_model)
        for layer in self.encoder:
            x = layer(x, source_mask(source).mT)
        return self.encoder_norm(x)
""",
    ),
    _wrong(
        "3c",
        "the decoder sees padding",
        """
class Translator(Translator):
    def decode(self, target_in, memory, source):
        return super().decode(target_in, memory, torch.ones_like(source))
""",
    ),
    _wrong(
        "3d",
        "no positions in the source",
        """
class Translator(Translator):
    def encode(self, source):
        x = self.source_embedding(source)
        x = x + positions(len(source), self.d_model)[:, None]
        for layer in self.encoder:
            x = layer(x, source_mask(source))
        return self.encoder_norm(x)
""",
    ),
    _wrong(
        "3d",
        "no positions in the target",
        """
class Translator(Translator):
    def decode(self, target_in, memory, source):
        x = self.target_embedding(target_in)
        for layer in self.decoder:
            x = layer(x, memory, target_mask(target_in), source_mask(source))
        return self.output(self.decoder_norm(x))
""",
    ),
    _encode(
        "only one encoder layer is used",
        "memory = x",
        "for layer in self.encoder:",
        "    memory = layer(x, source_mask(source))",
        "return self.encoder_norm(memory)",
    ),
    _encode("the encoder's norm is missing", *LAYERS, "return x"),
    _decode(
        "the decoder does not use target_mask",
        "past = torch.ones(x.shape[1], x.shape[1]).tril().bool()[None, None]",
        "for layer in self.decoder:",
        "    x = layer(x, memory, past, source_mask(source))",
        "return self.output(self.decoder_norm(x))",
    ),
    _decode(
        "only one decoder layer is used",
        "y = x",
        "for layer in self.decoder:",
        "    y = layer(x, memory, target_mask(target_in), source_mask(source))",
        "return self.output(self.decoder_norm(y))",
    ),
    _decode(
        "the decoder's norm is missing",
        "for layer in self.decoder:",
        "    x = layer(x, memory, target_mask(target_in), source_mask(source))",
        "return self.output(x)",
    ),
    _wrong(
        "3e",
        "embeddings scaled",
        """
class Translator(Translator):
    def __init__(self, *sizes, **named):
        super().__init__(*sizes, **named)
        scale = lambda part, given, out: out * math.sqrt(self.d_model)
        self.source_embedding.register_forward_hook(scale)
        self.target_embedding.register_forward_hook(scale)
""",
    ),
    _wrong(
        "4a",
        "decode gets only the last word",
        SEARCH.format(finished=FINISHED, stop=STOP, result="tokens[:, 1:]").replace(
            "decode(tokens,", "decode(tokens[:, -1:],"
        ),
    ),
    _search("finished rows go on", finished="pass"),
    _search(
        "finished rows go on after one padding",
        finished="words = words.masked_fill(tokens[:, -1] == END, PAD)",
    ),
    _search("stops with the first finished row", stop="if ended.any(): break"),
    _search("does not stop", stop="pass"),
    _search("finished rows go on, and it does not stop", "pass", "pass"),
    _search("the start mark is returned", result="tokens"),
    _search(
        "the end mark is lost",
        result="tokens[:, 1:] * (tokens[:, 1:] != END)",
    ),
    _wrong(
        "4b",
        "a mark cannot be written",
        SEARCH.format(finished=FINISHED, stop=STOP, result="tokens[:, 1:]").replace(
            "[:, -1].argmax(dim=-1)", "[:, -1, END:].argmax(dim=-1) + END"
        ),
    ),
    _wrong(
        "5a",
        "no model.safetensors handed in",
        "Path('model.safetensors').unlink()",
    ),
    _wrong(
        "5b",
        "model.safetensors cannot be opened",
        "torch.save(Translator().state_dict(), 'model.safetensors')",
    ),
    _wrong(
        "5d",
        "model.safetensors cannot be opened",
        "data = Path('model.safetensors').read_bytes()\n"
        "Path('model.safetensors').write_bytes(data[: len(data) // 2])",
    ),
    _wrong(
        "5b", "the weights do not fit the model", SMALLER.format(sizes="d_model=32")
    ),
    _wrong(
        "5c",
        "the weights do not fit the model",
        SMALLER.format(sizes="num_layers=2"),
    ),
    _wrong("5a", "bytes, not parameters", "report = report | {'parameters': 372_872}"),
    _wrong(
        "5a",
        "reported parameters are not those of the file",
        "report = report | {'parameters': 93_217}",
    ),
    _wrong("5a", "the report is incomplete", "report = {'exact_match': 0.99}"),
    _wrong(
        "5b",
        "no translation is right",
        "def load_model(path):\n    load_file(path)\n    return Translator().eval()",
    ),
    _wrong("5b", "fewer than 50% right", NOISY.format(share=0.5)),
    _wrong("5c", "fewer than 90% right", NOISY.format(share=0.35)),
    _wrong("5d", "fewer than 97% right", NOISY.format(share=0.25)),
    *(
        _wrong(check, "the translation does not come from the model", RULES + code)
        for check, code in (
            (
                "5b",
                "def translate(model, sentences):\n"
                "    return [by_rules(sentence) for sentence in sentences]",
            ),
            (
                "5d",
                """
honest_ = translate
def translate(model, sentences):
    if model.source_embedding.weight.equal(load_file("model.safetensors")
                                           ["source_embedding.weight"]):
        return [by_rules(sentence) for sentence in sentences]
    return ["one"] * len(sentences)
""",
            ),
        )
    ),
    _wrong(
        "5b",
        "not one translation each",
        "def translate(model, sentences):\n"
        "    return greedy(model, source_batch(sentences))",
    ),
    _wrong(
        "5e",
        "reported exact_match is not what the file gives",
        NOISY.format(share=0.35),
    ),
    _wrong(
        "5e",
        "reported token_accuracy is not what the file gives",
        "report = report | {'token_accuracy': 0.93}",
    ),
    _wrong(
        "5e",
        "not a share from 0 to 1",
        "report = report | {'exact_match': 99.7, 'token_accuracy': 99.9}",
    ),
]

RIGHT = [
    RightAnswer(
        name="a file in half precision",
        code="""
half = {name: w.half() for name, w in load_file("model.safetensors").items()}
save_file(half, "model.safetensors")
""",
    ),
    RightAnswer(
        name="loss and masks by indices",
        code="""
def shift_right(labels, start=1):
    out = torch.empty_like(labels)
    out[:, 0] = start
    out[:, 1:] = labels[:, :-1]
    return out

def masked_loss(logits, labels, pad=0):
    real = labels != pad
    return -logits.log_softmax(-1)[real].gather(1, labels[real][:, None]).mean()

def source_mask(source, pad=0):
    return source.ne(pad).unsqueeze(1).unsqueeze(1)

def target_mask(target_in, pad=0):
    t = torch.arange(target_in.shape[1])
    causal = t[None, :] <= t[:, None]
    return torch.logical_and(causal, target_in.ne(pad)[:, None, None, :])
""",
    ),
    RightAnswer(
        name="greedy with lists and the whole model each time",
        code="""
def greedy(model, source, max_len=16):
    rows, device = [[START] for _ in source], next(model.parameters()).device
    with torch.no_grad():
        for _ in range(max_len):
            logits = model(source, torch.tensor(rows, device=device))
            for row, word in zip(rows, logits[:, -1].argmax(-1).tolist()):
                row.append(PAD if END in row else word)
            if all(END in row for row in rows):
                break
    return torch.tensor([row[1:] for row in rows])
""",
    ),
    RightAnswer(
        name="positions in a buffer, masks made once, scaled_dot_product_attention",
        code="""
class Attention(Attention):
    def forward(self, x, memory, mask):
        split = lambda z: z.view(*z.shape[:2], self.num_heads, -1).transpose(1, 2)
        q = split(self.query(x))
        k, v = split(self.key(memory)), split(self.value(memory))
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.output(out.permute(0, 2, 1, 3).reshape(x.shape))

class Translator(Translator):
    def __init__(self, *sizes, **named):
        super().__init__(*sizes, **named)
        self.register_buffer("place", positions(64, self.d_model))

    def encode(self, source):
        mask = source_mask(source)
        x = self.source_embedding(source)
        x = x + self.place[: x.shape[1]]
        for layer in self.encoder:
            x = layer(x, mask)
        return self.encoder_norm(x)

    def forward(self, source, target_in):
        memory = self.encode(source)
        return self.decode(target_in, memory=memory, source=source)

class DecoderLayer(DecoderLayer):
    def forward(self, x, memory, target_mask, source_mask):
        a, b, c = self.norms
        x = x + self.self_attention(a(x), a(x), target_mask)
        x = x + self.cross_attention(b(x), memory, source_mask)
        return x + self.feed_forward(c(x))

def load_model(path):
    model = Translator()
    model.load_state_dict(load_file(path), strict=False)
    return model.eval()
""",
    ),
    RightAnswer(
        name="translates one sentence at a time; the report is computed",
        code="""
def translate(model, sentences):
    out = []
    for sentence in sentences:
        row = greedy(model, source_batch([sentence]), 14)[0]
        out.append(as_text(row))
    return out

tensors = load_file("model.safetensors").values()
report = evaluate(load_model("model.safetensors"), test_pairs[:300])
report = dict(report, seed=3, parameters=sum(w.numel() for w in tensors))
report |= {name: torch.tensor(value) for name, value in report.items()}
""",
    ),
]

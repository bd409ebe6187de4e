"""Calls of the answers of assignment 4; raw results only.

`PATH` is the file that the student handed in. It is opened with safetensors and
nothing else: what is no safetensors file comes back as a word, never as an object.
"""

import math
import os

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

PATH = "model.safetensors"
SMALL = {"d_model": 16, "num_heads": 2, "d_ff": 24}


# Question 1
def shifted(ns, labels, start):
    out = ns["shift_right"](labels, start)
    return out, labels


def loss(ns, logits, labels, pad):
    return ns["masked_loss"](logits, labels, pad)


def loss_gradient(ns, logits, labels, pad):
    logits.requires_grad_()
    loss = ns["masked_loss"](logits, labels, pad)
    if not getattr(loss, "requires_grad", False):
        return "cut off"
    loss.backward()
    return logits.grad


# Question 2
def mask_of_source(ns, tokens, pad):
    return ns["source_mask"](tokens, pad)


def mask_of_target(ns, tokens, pad):
    return ns["target_mask"](tokens, pad)


# Question 3
def decoder_layer(ns, weights, num_heads, x, memory, target_mask, source_mask):
    d_model, d_ff = x.shape[-1], len(weights["feed_forward.0.bias"])
    layer = _loaded(ns["DecoderLayer"](d_model, num_heads, d_ff), weights)
    return layer(x, memory, target_mask, source_mask).detach()


def same_and_changed(ns, num_layers, source, target_in, source_2, target_in_2):
    model = _fresh(ns, num_layers)
    with torch.no_grad():
        return {
            "logits": model(source, target_in),
            "other source": model(source_2, target_in),
            "other target": model(source, target_in_2),
            "memory": model.encode(source),
            "other memory": model.encode(source_2),
            "in two steps": model.decode(target_in, model.encode(source), source),
        }


def whole_model(ns, weights, sizes, source, target_in):
    model = _loaded(ns["Translator"](**sizes), weights)
    return model(source, target_in).detach()


def _loaded(module, weights):
    """Load weights under the names of the statement; others, as buffers, may stay."""
    module.double().load_state_dict(module.state_dict() | weights)
    return module.eval()


def _fresh(ns, num_layers):
    """Build a small model whose weights depend on no random number."""
    model = ns["Translator"](**SMALL, num_layers=num_layers).double().eval()
    with torch.no_grad():
        for i, weight in enumerate(p for p in model.parameters() if p.ndim > 1):
            waves = torch.sin((i + 1.7) * torch.arange(1.0, 1 + weight.numel()))
            weight.copy_(waves.view_as(weight) * math.sqrt(2 / weight.shape[-1]))
    return model


# Question 4
def search(ns, source, answers, max_len):
    return ns["greedy"](_Scripted(answers), source, max_len)


class _Scripted(nn.Module):
    """Wants to write row source[b, 0] of `answers`, if it reads the right words."""

    def __init__(self, answers):
        super().__init__()
        self.answers = answers
        self.scale = nn.Parameter(torch.ones(()))
        self.eval()

    def encode(self, source):
        return source[:, :1, None].float() * self.scale  # (B, 1, 1)

    def decode(self, target_in, memory, source):
        wanted = self.answers[memory[:, 0, 0].long()][:, : target_in.shape[1]]
        before = torch.cat((torch.ones_like(wanted[:, :1]), wanted[:, :-1]), dim=1)
        ended = (before == 2).cumsum(dim=1) > 0
        wanted = torch.where((target_in == before) | ended, wanted, 3)
        return nn.functional.one_hot(wanted, 12) * self.scale

    def forward(self, source, target_in):
        return self.decode(target_in, self.encode(source), source)


# Question 5
def file_and_report(ns):
    return {"file": _shapes(), "report": _plain(ns["report"])}


def translations(ns, sentences, german, words):
    model = _model(ns)
    if isinstance(model, str):
        return model
    written = ns["translate"](model, list(sentences))
    return {"written": written, **_exchanged(ns, model, german, words)}


def measured(ns, sentences, references, german, words):
    """Return what `evaluate` of the notebook is computed from, and the report."""
    report = _plain(ns["report"])
    model = _model(ns)
    if isinstance(model, str):
        return model
    written = ns["translate"](model, list(sentences))
    labels = ns["label_batch"](references)
    inputs = torch.cat((torch.ones_like(labels[:, :1]), labels[:, :-1]), dim=1)
    with torch.no_grad():
        guesses = model(ns["source_batch"](sentences), inputs).argmax(dim=-1)
    after = _exchanged(ns, model, german, words)
    return {"report": report, "written": written, "guesses": guesses, **after}


def _exchanged(ns, model, german, words):
    """Translate before and after the embeddings of two source words change places."""
    before = ns["translate"](model, list(german))
    one, other = ns["source_batch"]([" ".join(words)])[0].tolist()
    with torch.no_grad():
        table = model.source_embedding.weight
        table[[one, other]] = table[[other, one]]
    return {"before": before, "after": ns["translate"](model, list(german))}


def _model(ns):
    """Return the student's model with the weights of the file, or what went wrong."""
    shapes = _shapes()
    if shapes == "damaged":
        return shapes
    try:
        model = ns["load_model"](PATH)
    except NotImplementedError:
        raise
    except Exception:
        model = "does not fit"
    return "missing" if shapes == "missing" else model


def _shapes():
    """Return the shape of each tensor of the file, or what is wrong with it."""
    if not os.path.isfile(PATH):
        return "missing"
    try:
        with safe_open(PATH, framework="pt") as file:
            names = list(file.keys())
            return {name: file.get_slice(name).get_shape() for name in names}
    except (SafetensorError, OSError, ValueError):
        return "damaged"


def _plain(report):
    if report is None:
        raise NotImplementedError
    return dict(report)

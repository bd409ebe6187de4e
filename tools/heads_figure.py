"""Train the layers of the figure `explore.heads()` and write them as whole numbers.

For each number of heads one `MultiHeadAttention` of width 16 without biases learns the
two questions of `attnbook.explore._heads`: about twenty seconds in all on one CPU core.
Its 4 · 16² weights are rounded to −127 … 127 times a scale and kept as base64 of int8,
in `heads.json` for Python and in the line `const DATA = …` of `heads.js`.
"""

import argparse
import base64
import json
import re
import sys
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from attnbook import training
from attnbook.explore import _heads as figure
from attnbook.multihead import MultiHeadAttention

FOLDER = Path(figure.__file__).parent
BATCH, STEPS, RATE, DECAY, SEED = 128, 2500, 1e-2, 1e-5, 0


def draw(num: int, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Return tokens (N, 6, 16) and the letters that answer them (N, 6, 2)."""
    letters = rng.random((num, len(figure.LETTERS))).argsort(axis=1)
    letters = letters[:, : figure.LENGTH]
    shapes = rng.integers(len(figure.SHAPES), size=letters.shape)
    answers = np.take_along_axis(letters[:, :, None], figure.places(shapes), axis=1)
    x = torch.from_numpy(figure.encode(shapes, letters)).float()
    return x, torch.from_numpy(answers)


def train(num_heads: int, steps: int = STEPS, seed: int = SEED) -> MultiHeadAttention:
    """Train one layer; a small penalty on the weights keeps them in a small range."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = MultiHeadAttention(figure.D_MODEL, num_heads, bias=False)

    def loss() -> torch.Tensor:
        x, answers = draw(BATCH, rng)
        scores = model(x).reshape(-1, len(figure.LETTERS))
        size = sum(weight.square().sum() for weight in model.parameters())
        return F.cross_entropy(scores, answers.flatten()) + DECAY * size

    training.fit(
        model, loss, steps=steps, schedule=lambda step: RATE * (1 - step / (steps + 1))
    )
    return model


def pack(model: MultiHeadAttention) -> dict[str, object]:
    """Return the scale and, as text, the rounded weights: W_q, W_k, W_v, W_o."""
    rows = torch.cat((model.in_proj_weight, model.out_proj.weight)).detach().double()
    scale = float(f"{rows.abs().max().item() / 127:.4g}")
    whole = (rows / scale).round().clamp(-127, 127).to(torch.int8).numpy()
    return {
        "scale": scale,
        "weights": base64.b64encode(whole.tobytes()).decode("ascii"),
    }


def write(data: dict[str, object], folder: Path = FOLDER) -> None:
    """Write the data for Python, and the same into the script."""
    text = json.dumps(data, separators=(",", ":"))
    (folder / "heads.json").write_text(text + "\n", "utf-8")
    script = folder / "heads.js"
    line = f"const DATA = {text};"
    old = script.read_text("utf-8")
    script.write_text(re.sub(r"^const DATA = .*;$", line, old, flags=re.M), "utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Train all layers and write them."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args(arguments)
    torch.set_num_threads(1)
    write({str(h): pack(train(h)) for h in figure.NUM_HEADS})
    return 0


if __name__ == "__main__":
    sys.exit(main())

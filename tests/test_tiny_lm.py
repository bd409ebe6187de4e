"""The one-head language model of chapter 2."""

import torch
from torch.testing import assert_close

from attnbook.tiny_lm import TinyLM, letters, next_letter_loss, train


def test_letters_are_split_without_overlap_and_spelled_by_the_alphabet():
    source, unseen = letters()
    assert set(source.unique().tolist()) == set(range(27))
    assert abs(len(source) - 9 * len(unseen)) < 10


def test_tiny_lm_does_not_see_the_future():
    torch.manual_seed(0)
    model, tokens = TinyLM(5, True, 1.0), torch.randint(27, (2, 7))
    other = tokens.clone()
    other[:, 4:] = 0
    assert_close(model(tokens)[:, :4], model(other)[:, :4], rtol=1e-5, atol=1e-6)


def test_tiny_lm_scale_divides_the_scores_by_the_root_of_the_width():
    torch.manual_seed(0)
    scaled, unscaled = TinyLM(16, True, 1.0), TinyLM(16, False, 1.0)
    unscaled.load_state_dict(scaled.state_dict())
    with torch.no_grad():
        unscaled.query.weight.div_(4)
    tokens = torch.randint(27, (2, 7))
    assert_close(unscaled(tokens), scaled(tokens), rtol=1e-4, atol=1e-5)


def test_next_letter_loss_without_knowledge_is_log_27():
    model, source = TinyLM(5, True, 0.0), torch.arange(100) % 27
    torch.nn.init.zeros_(model.out.weight)
    torch.nn.init.zeros_(model.out.bias)
    loss = next_letter_loss(model, source, 3, torch.Generator())
    assert_close(loss.item(), 3.2958, rtol=1e-4, atol=0)


def test_train_returns_curves_losses_and_weights_per_seed():
    result = train(4, True, 0.02, steps=5, seeds=2)
    assert result["curve"].shape == (2, 5)
    assert result["loss"].shape == result["top"].shape == (2,)
    assert (result["top"] < 1).all()

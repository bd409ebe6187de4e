"""E6, heads: Python against the package's layer, the script against Python."""

import base64
import json
from pathlib import Path

import heads_figure
import numpy as np
import pytest
import torch
from figures import get, node, script, script_agrees, show

from attnbook import explore
from attnbook.explore import _heads
from attnbook.multihead import MultiHeadAttention

FOLDER = Path(explore.__file__).parent


def cases(n=8):
    rng = np.random.default_rng(6)
    for i in range(n):
        heads = [1, 2, 4, 8][i % 4]
        off = rng.permutation(heads)[: rng.integers(heads + 1)] + 1
        yield {
            "heads": heads,
            "off": sorted(off.tolist()),
            "sequence": int(rng.integers(1, 65)),
            "token": int(rng.integers(1, 7)),
        }


@pytest.mark.parametrize("heads", [1, 2, 4, 8])
def test_numbers_are_those_of_the_package(heads):
    layer = MultiHeadAttention(16, heads, bias=False).double()
    in_proj, out_proj = map(torch.from_numpy, _heads.trained(heads))
    names = {"in_proj_weight": in_proj, "out_proj.weight": out_proj}
    layer.load_state_dict(names)
    x = torch.from_numpy(_heads.encode(*_heads.sequences()))
    out, weights = layer(x, return_weights=True)
    result = explore.heads(heads, sequence=5).result
    np.testing.assert_allclose(result["out"], out[4].detach(), atol=1e-12)
    np.testing.assert_allclose(result["weights"], weights[4].detach(), atol=1e-12)
    assert sum(p.numel() for p in layer.parameters()) == 4 * 16**2


def test_answers_are_what_the_questions_ask():
    shapes, letters = (part[6] for part in _heads.sequences())
    answers = explore.heads(sequence=7).result["answers"]
    for t, (before, first) in enumerate(answers):
        assert before == letters[max(t - 1, 0)]
        assert first == letters[list(shapes).index(shapes[t])]


def test_two_heads_divide_the_work_and_one_cannot():
    two = explore.heads(2).result
    assert sorted(two["before"].round(1)) == sorted(two["first"].round(1)) == [0, 0.9]
    assert two["right"].min() == 1
    one, *more = two["both"]
    assert one < 0.2
    assert min(more) > 0.99
    assert explore.heads(1).result["before"][0] < 0.5


@pytest.mark.parametrize("head", [1, 2])
def test_head_takes_its_answer_with_it(head):
    result = explore.heads(2, off=(head,)).result
    job = np.argmax([explore.heads(2).result[n][head - 1] for n in ("before", "first")])
    assert result["right"][job] < 0.05
    assert result["right"][1 - job] > 0.95


def test_no_head_gives_no_answer():
    assert not explore.heads(2, off=(1, 2)).result["right"].any()


def test_five_heads_of_eight_can_go_alone_but_not_together():
    alone = [explore.heads(8, off=(h,)).result["right"].min() for h in range(1, 9)]
    harmless = [h for h, right in enumerate(alone, start=1) if right == 1]
    assert harmless == [1, 2, 5, 7, 8]
    assert explore.heads(8, off=harmless).result["right"].min() < 0.7


def test_out_is_the_sum_of_the_heads_that_are_on():
    result = explore.heads(4, off=(2, 4)).result
    kept = result["contributions"][[0, 2]].sum(axis=0)
    np.testing.assert_allclose(result["out"], kept, atol=1e-12)
    assert not explore.heads(1, off=(1,)).result["out"].any()


def test_data_is_small_and_stands_in_the_script():
    text = (FOLDER / "heads.json").read_text("utf-8")
    assert len(text) <= 10 * 1024
    assert f"const DATA = {text.strip()};\n" in script("heads")


def test_tool_packs_what_it_trains(tmp_path):
    model = heads_figure.train(2, steps=2)
    kept = heads_figure.pack(model)
    whole = np.frombuffer(base64.b64decode(kept["weights"]), np.int8).reshape(64, 16)
    rows = torch.cat((model.in_proj_weight, model.out_proj.weight)).detach()
    np.testing.assert_allclose(whole * kept["scale"], rows, atol=0.51 * kept["scale"])
    (tmp_path / "heads.js").write_text("a\nconst DATA = {};\nb\n", "utf-8")
    heads_figure.write({"2": kept}, tmp_path)
    line = (tmp_path / "heads.js").read_text("utf-8").splitlines()[1]
    assert line == f"const DATA = {(tmp_path / 'heads.json').read_text().strip()};"
    assert json.loads((tmp_path / "heads.json").read_text()) == {"2": kept}


def test_tool_asks_what_the_figure_asks():
    x, answers = heads_figure.draw(50, np.random.default_rng(0))
    letters = x[:, :, 8:].argmax(-1)
    assert torch.equal(answers[:, 1:, 0], letters[:, :-1])
    assert x.sum(-1).eq(3).all()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"heads": 3}, r"heads must be 1, 2, 4 or 8, got 3"),
        ({"off": (3,)}, r"off must be a whole number from 1 to 2, got 3"),
        ({"sequence": 65}, r"sequence .* from 1 to 64, got 65"),
        ({"token": 0}, r"token .* from 1 to 6, got 0"),
        ({"token": 1.5}, r"token .* got 1.5"),
    ],
)
def test_heads_names_a_bad_argument(given, message, as_user):
    with pytest.raises(ValueError, match=message):
        explore.heads(**given)


def test_heads_script_agrees_with_python():
    script_agrees("heads", cases())


def test_heads_reads_its_state_from_the_address():
    base = explore.heads().state
    hashes = ["#e6=h:8,o:3_1,x:64,t:2", "#e2=t:1&e6=t:3", "#e6=h:3,o:9,x:65,t:0"]
    assert node("heads", hashes=hashes, base=base)["states"] == [
        {"heads": 8, "off": [1, 3], "sequence": 64, "token": 2},
        base | {"token": 3},
        base,
    ]


def test_head_switched_off_is_greyed_and_leaves_the_sum(visit):
    page, figure = show(visit, "heads", {"token": 6})
    table = figure.locator("[data-at=parts0] table")
    assert "✓" in table.locator("caption").inner_text()
    figure.get_by_label("Head 1", exact=True).uncheck()
    assert get(figure, "state")["off"] == [1]
    assert "✗" in table.locator("caption").inner_text()
    head, other, total = table.locator("tbody tr").all()
    line = "e => getComputedStyle(e).textDecorationLine"
    assert head.locator("td").first.evaluate(line) == "line-through"
    sums = total.locator("td").all_inner_texts()
    assert sums == other.locator("td").all_inner_texts()
    said = figure.get_by_role("status")
    page.wait_for_function(
        "e => e.textContent.startsWith('Without head 1, ○ falls from 100 % to 0 %')",
        arg=said.element_handle(),
    )


@pytest.mark.parametrize(
    ("heads", "off", "got", "said"),
    [
        (8, (3,), "○ 96 % □ 100 %", "Without head 3, ○ falls from 100 % to 96 %."),
        (8, (1,), "○ 100 % □ 100 %", "Without head 1, no answer changes."),
        (2, (1, 2), "none", "All heads are off"),
    ],
)
def test_result_is_told_above_the_maps(visit, heads, off, got, said):
    page, figure = show(visit, "heads", {"heads": heads, "off": off})
    line, status = figure.locator("[data-at=got]"), figure.get_by_role("status")
    page.wait_for_function("e => e.textContent", arg=status.element_handle())
    words = " ".join(line.inner_text().split())
    assert words.startswith(f"Right answers: {got} over 64 sequences")
    assert status.inner_text().startswith(said)
    maps = figure.locator(".maps").bounding_box()
    assert status.bounding_box()["y"] < maps["y"]


@pytest.mark.parametrize("width", [390, 1280])
def test_numbers_do_not_break(visit, width):
    page, figure = show(visit, "heads", width=width)
    page.add_style_tag(content="* {overflow-wrap: break-word}")
    heights = figure.locator("td, th").evaluate_all(
        "all => all.map((e) => e.getBoundingClientRect().height)"
    )
    assert max(heights) < 30


def test_number_of_heads_changes_shapes_not_parameters(visit):
    _, figure = show(visit, "heads")
    for heads, width in ((1, 16), (2, 8), (4, 4), (8, 2)):
        figure.locator(f"[data-k=heads][value='{heads}']").check()
        assert figure.locator("[data-head]:visible [type=checkbox]").count() == heads
        shape = figure.locator("[data-at=shape]").inner_text()
        assert f"16 / {heads} = {width}." in shape
        assert "4 · 16² = 1,024" in shape


def test_another_sequence_keeps_heads_and_token(visit):
    _, figure = show(visit, "heads", {"sequence": 64, "off": (2,), "token": 3})
    figure.get_by_role("button", name="Another sequence").click()
    expected = {"heads": 2, "off": [2], "sequence": 1, "token": 3}
    assert get(figure, "state") == expected

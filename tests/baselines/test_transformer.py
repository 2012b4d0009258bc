from __future__ import annotations

import itertools

import pytest
import torch
from memobench.baselines._transformer import CodeTransformer
from memobench.training.loop import seeded, step_generator
from scipy import stats
from torch.nn import functional as F

CODES, LENGTH = 5, 7


def transformer(codes: int = CODES, length: int = LENGTH, sharp: float = 20.0) -> CodeTransformer:
    """One with random weights, whose probabilities are far from even."""
    with seeded(0):
        net = CodeTransformer(codes, length, width=16, layers=2, heads=2)
    net.tokens.weight.data *= 50
    net.positions.data *= 50
    net.logits.weight.data *= sharp
    for layer in net.layers:
        layer.attention_in.weight.data *= 20
        layer.attention_out.weight.data *= 20
    return net.requires_grad_(False).eval()


def some_codes(count: int) -> torch.Tensor:
    return torch.randint(CODES, (count, LENGTH), generator=step_generator(0, "codes"))


def test_a_code_is_predicted_from_those_before_it_alone() -> None:
    net, codes = transformer(), some_codes(1)
    logits = net(codes)
    for place in range(LENGTH):
        other = codes.clone()
        other[0, place] = (other[0, place] + 1) % CODES
        changed = (net(other) - logits).abs().amax(dim=2)[0]
        assert (changed[: place + 1] < 1e-6).all()
        assert (changed[place + 1 :] > 1e-4).all()


def test_the_cache_changes_nothing() -> None:
    net, codes = transformer(), some_codes(4)
    logits = net(codes)
    token, cache = torch.full((4,), net.begin), None
    for place in range(LENGTH):
        step, cache = net.step(token, place, cache)
        torch.testing.assert_close(step, logits[:, place], rtol=1e-4, atol=1e-4)
        token = codes[:, place]


def test_it_agrees_with_torchs_own_layers() -> None:
    net, codes = transformer(), some_codes(3)
    layers = []
    for layer in net.layers:
        own = torch.nn.TransformerEncoderLayer(
            16, 2, 64, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        own.self_attn.in_proj_weight.data = layer.attention_in.weight.data
        own.self_attn.in_proj_bias.data = layer.attention_in.bias.data
        own.self_attn.out_proj.load_state_dict(layer.attention_out.state_dict())
        own.linear1.load_state_dict(layer.perceptron_in.state_dict())
        own.linear2.load_state_dict(layer.perceptron_out.state_dict())
        own.norm1.load_state_dict(layer.norms[0].state_dict())
        own.norm2.load_state_dict(layer.norms[1].state_dict())
        layers.append(own)
    begin = torch.full((3, 1), net.begin)
    x = net.tokens(torch.cat([begin, codes[:, :-1]], dim=1)) + net.positions
    for own in layers:
        x = own(x, src_mask=torch.nn.Transformer.generate_square_subsequent_mask(LENGTH), is_causal=True)
    torch.testing.assert_close(net(codes), net.logits(net.norm(x)), rtol=1e-4, atol=1e-4)


def test_the_probabilities_of_all_images_add_up_to_one() -> None:
    net = transformer(codes=3, length=4)
    every = torch.tensor(list(itertools.product(range(3), repeat=4)))
    log = -F.cross_entropy(net(every).transpose(1, 2), every, reduction="none").sum(dim=1)
    assert log.exp().sum().item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("temperature", "top_k"), [(1.0, 0), (0.7, 0), (1.5, 0), (1.0, 4)])
def test_images_are_drawn_as_often_as_they_are_likely(temperature: float, top_k: int) -> None:
    net = transformer(codes=5, length=2, sharp=6.0)
    uniform = torch.rand(4000, 2, 5, generator=step_generator(1, "draw"))
    drawn = net.draw(uniform, temperature, top_k)
    every = torch.tensor(list(itertools.product(range(5), repeat=2)))
    logits = net(every) / temperature
    if top_k:
        logits = logits.masked_fill(logits < logits.topk(top_k, dim=2).values[:, :, -1:], -torch.inf)
    expected = logits.log_softmax(dim=2).gather(2, every[:, :, None]).sum(dim=(1, 2)).exp() * 4000
    seen = torch.bincount(drawn[:, 0] * 5 + drawn[:, 1], minlength=25)
    possible = expected > 0
    assert seen[~possible].sum() == 0
    likely = expected > 5
    assert likely.sum() >= 8
    pooled = [torch.cat([counts[likely], counts[~likely].sum()[None]]).double() for counts in (seen, expected)]
    statistic = ((pooled[0] - pooled[1]) ** 2 / pooled[1].clamp(min=1)).sum().item()
    assert stats.chi2.sf(statistic, int(likely.sum())) > 1e-3


def test_one_candidate_leaves_no_choice() -> None:
    net = transformer()
    first, second = (
        net.draw(torch.rand(3, LENGTH, CODES, generator=step_generator(seed, "draw")), 1.0, 1) for seed in (0, 1)
    )
    assert torch.equal(first, second)
    assert torch.equal(first, net(first).argmax(dim=2))
    cold = net.draw(torch.rand(3, LENGTH, CODES, generator=step_generator(0, "draw")), 1e-6, 0)
    assert torch.equal(cold, first)


def test_extreme_random_numbers_are_no_accident() -> None:
    net = transformer()
    for value in (0.0, 1.0 - 2**-24):
        drawn = net.draw(torch.full((1, LENGTH, CODES), value), 1.0, 0)
        assert torch.equal(drawn, net(drawn).argmax(dim=2))

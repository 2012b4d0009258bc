from __future__ import annotations

import pytest
import torch
from memobench.baselines._quantised import UNUSED, QuantisedAutoencoder, replace_unused
from memobench.training.loop import seeded, step_generator

GRIDS = [(4, 3), (2, 4, 3)]


def network(dimensions: int, codes: int = 6) -> QuantisedAutoencoder:
    with seeded(0):
        return QuantisedAutoencoder(
            dimensions, channels=(8, 8), pixels=2, blocks=1, codes=codes, code_channels=3, commitment=0.25, decay=0.9
        )


def patches(grid: tuple[int, ...], count: int = 5) -> torch.Tensor:
    return torch.randn(count, 2, *[2 * side for side in grid], generator=step_generator(0, "patches"))


@pytest.mark.parametrize("grid", GRIDS)
def test_codes_are_the_nearest_and_decode_to_what_training_made(grid: tuple[int, ...]) -> None:
    net, images = network(len(grid)), patches(grid)
    net(images, step_generator(0, "deal"))
    net.eval()
    vectors = net.encoder(images)
    codes = net.encode(images)
    assert codes.shape == (5, *grid)
    flat = vectors.movedim(1, -1).reshape(-1, 3).detach()
    nearest = torch.cdist(flat, net.book.embedding.weight).argmin(dim=1)
    assert torch.equal(codes.flatten(), nearest)
    made = net.decoder(net.book(vectors)[0])
    torch.testing.assert_close(net.decode(codes), made, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("grid", GRIDS)
def test_the_gradient_passes_the_quantiser(grid: tuple[int, ...]) -> None:
    net, images = network(len(grid)), patches(grid)
    made, commitment = net(images, step_generator(0, "deal"))
    made.square().mean().backward(retain_graph=True)
    through = [parameter.grad.clone() for parameter in net.encoder.parameters()]
    assert all(grad.abs().max() > 0 for grad in through[-2:])
    assert net.book.embedding.weight.grad is None
    net.zero_grad()
    commitment.backward()
    assert all(parameter.grad is None for parameter in net.decoder.parameters())
    assert all(parameter.grad.abs().max() > 0 for parameter in list(net.encoder.parameters())[-2:])


def test_the_codebook_finds_the_centres_of_clusters() -> None:
    """On fixed vectors the moving averages are k-means: each code becomes the mean of the vectors that choose it."""
    net = network(2, codes=4)
    centres = torch.tensor([[0.0, 0, 0], [5, 0, 0], [0, 5, 0], [0, 0, 5]])
    spread = 0.1 * torch.randn(4, 8, 3, generator=step_generator(0, "spread"))
    vectors = (centres[:, None] + spread).reshape(1, 4, 8, 3).movedim(-1, 1)  # (1, 3, 4, 8)
    for step in range(300):
        replace_unused(net.book, vectors, step_generator(0, "deal", step))
        net.book(vectors)
    means = (centres[:, None] + spread).mean(dim=1)
    distances = torch.cdist(means, net.book.embedding.weight)
    assert (distances.min(dim=1).values < 0.2).sum() >= 3  # k-means may leave one pair of clusters to one code
    codes = net.book.quantize(vectors)[2].flatten()
    flat = vectors.movedim(1, -1).reshape(-1, 3)
    for code in codes.unique():
        torch.testing.assert_close(net.book.embedding.weight[code], flat[codes == code].mean(dim=0), atol=1e-3, rtol=0)


def test_only_unused_codes_are_dealt_anew_and_to_vectors() -> None:
    net = network(2)
    vectors = torch.randn(2, 3, 4, 5, generator=step_generator(0, "vectors"))
    replace_unused(net.book, vectors, step_generator(0, "deal"))
    flat = vectors.movedim(1, -1).reshape(-1, 3)
    first = net.book.embedding.weight.clone()
    assert (torch.cdist(first, flat).min(dim=1).values < 1e-5).all()
    net.book.ema_cluster_size.fill_(1.0)
    net.book.ema_cluster_size[2] = UNUSED / 2
    replace_unused(net.book, vectors, step_generator(0, "deal", 7))
    changed = (net.book.embedding.weight != first).any(dim=1)
    assert changed.tolist() == [False, False, True, False, False, False]
    assert net.book.ema_cluster_size.tolist() == [1.0] * 6
    torch.testing.assert_close(net.book.ema_w[2], net.book.embedding.weight[2])


def test_evaluation_leaves_the_codebook_alone() -> None:
    net = network(2).eval()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    net.decode(net.encode(patches((4, 3))))
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())

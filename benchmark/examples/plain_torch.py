"""A training script of plain torch that knows nothing of memobench: a small VAE, from a folder of PNG to 256 samples.

bench data export xray --task xray --only train
python plain_torch.py xray/train samples.npz
bench measure --task xray --samples samples.npz --name tiny-vae --trained-on task
"""

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

folder, out = Path(sys.argv[1]), Path(sys.argv[2])
steps = int(sys.argv[3]) if len(sys.argv) > 3 else 600
images = np.stack([np.asarray(Image.open(file)) for file in sorted(folder.glob("*.png"))])
data = torch.from_numpy(images).float()[:, None] / 255  # (N, 1, 64, 64)
torch.manual_seed(0)


class VAE(nn.Module):
    """Four halvings to a vector of 64, and back."""

    def __init__(self):
        super().__init__()
        widths = (1, 16, 32, 64, 64)
        down = [nn.Sequential(nn.Conv2d(a, b, 4, 2, 1), nn.SiLU()) for a, b in pairwise(widths)]
        up = [nn.Sequential(nn.SiLU(), nn.ConvTranspose2d(b, a, 4, 2, 1)) for a, b in pairwise(widths)]
        self.encoder = nn.Sequential(*down, nn.Flatten(), nn.Linear(64 * 16, 128))
        self.start = nn.Linear(64, 64 * 16)
        self.decoder = nn.Sequential(*reversed(up))

    def decode(self, z):
        """Vectors (N, 64) to images (N, 1, 64, 64) in [0, 1]."""
        return torch.sigmoid(self.decoder(self.start(z).view(-1, 64, 4, 4)))

    def forward(self, x):
        """The negative evidence bound, per image."""
        mean, log_variance = self.encoder(x).chunk(2, dim=1)
        z = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
        error = F.mse_loss(self.decode(z), x, reduction="sum") / 0.02
        divergence = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum()
        return (error + divergence) / len(x)


model = VAE()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
for step in range(steps):
    loss = model(data[torch.randint(len(data), (32,))])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 100 == 0:
        sys.stderr.write(f"step {step}: {loss.item():.1f}\n")
with torch.no_grad():
    samples = model.decode(torch.randn(256, 64))[:, 0]
np.savez_compressed(out, samples=(samples * 255).round().byte().numpy())

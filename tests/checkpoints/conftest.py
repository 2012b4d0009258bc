"""Tiny real checkpoints on disk, made by the libraries themselves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file


@pytest.fixture
def ddpm(tmp_path: Path) -> Callable[..., Path]:
    """A DDPMPipeline, or an LDMPipeline, with random weights."""

    def make(*, latent: bool = False, channels: int = 1, size: int = 16, **saved: Any) -> Path:
        from diffusers import AutoencoderKL, DDIMScheduler, DDPMPipeline, DDPMScheduler, LDMPipeline, UNet2DModel

        torch.manual_seed(0)
        unet = UNet2DModel(
            sample_size=size // 2 if latent else size,
            in_channels=2 if latent else channels,
            out_channels=2 if latent else channels,
            block_out_channels=(8, 8),
            norm_num_groups=4,
            layers_per_block=1,
            down_block_types=("DownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "UpBlock2D"),
        )
        folder = tmp_path / ("ldm" if latent else "ddpm")
        if not latent:
            pipeline: Any = DDPMPipeline(unet, DDPMScheduler(num_train_timesteps=4))
        else:
            vae = AutoencoderKL(
                in_channels=channels,
                out_channels=channels,
                latent_channels=2,
                block_out_channels=(8, 8),
                norm_num_groups=4,
                down_block_types=("DownEncoderBlock2D",) * 2,
                up_block_types=("UpDecoderBlock2D",) * 2,
            )
            pipeline = LDMPipeline(vae, unet, DDIMScheduler(num_train_timesteps=10))
        pipeline.save_pretrained(folder, **saved)
        return folder

    return make


@pytest.fixture
def bundle(tmp_path: Path) -> Callable[..., Path]:
    """A MONAI bundle of a diffusion model with random weights."""

    def make(*, latent: bool = False, dim: int = 2, name: str = "bundle", **config: Any) -> Path:
        from monai.networks.nets import AutoencoderKL, DiffusionModelUNet

        torch.manual_seed(0)
        channels = 2 if latent else 1
        network = {
            "spatial_dims": dim,
            "in_channels": channels,
            "out_channels": channels,
            "channels": [8, 8],
            "num_res_blocks": 1,
            "attention_levels": [False, False],
            "norm_num_groups": 4,
            "num_head_channels": 8,
        }
        scheduler = {"_target_": "monai.networks.schedulers.DDPMScheduler", "num_train_timesteps": 4}
        values: dict[str, Any] = {
            "imports": ["$import torch"],
            "spatial_dims": dim,
            "network_def": {
                "_target_": "monai.networks.nets.DiffusionModelUNet",
                **network,
                "spatial_dims": "@spatial_dims",
            },
            "noise_scheduler": scheduler,
            "run": ["$print('never')"],
        }
        folder = tmp_path / name
        (folder / "configs").mkdir(parents=True)
        (folder / "models").mkdir()
        save_file(DiffusionModelUNet(**network).state_dict(), folder / "models" / "model.safetensors")
        if latent:
            decoder = {
                "spatial_dims": dim,
                "in_channels": 1,
                "out_channels": 1,
                "channels": [8, 8],
                "latent_channels": 2,
                "num_res_blocks": [1, 1],
                "attention_levels": [False, False],
                "norm_num_groups": 4,
                "with_encoder_nonlocal_attn": False,
                "with_decoder_nonlocal_attn": False,
            }
            values["autoencoder_def"] = {"_target_": "monai.networks.nets.AutoencoderKL", **decoder}
            save_file(AutoencoderKL(**decoder).state_dict(), folder / "models" / "autoencoder.safetensors")
        (folder / "configs" / "inference.json").write_text(json.dumps({**values, **config}))
        return folder

    return make

"""What training and the prediction of single planes are measured on: the published networks, 64 channels wide."""

from __future__ import annotations

from dataclasses import dataclass

PATCH_PX = 128
PENALTY = 1e-4  # the published weight of the Jacobian penalty


@dataclass(frozen=True)
class Case:
    """A network with its objective, by the names that both programs use."""

    family: str
    generator: str
    factor: int = 1
    width: int = 64


TRAINING = {
    "unet_128 GAN": Case("pix2pix", "unet_128"),
    "resnet_9blocks": Case("feedforward", "resnet_9blocks"),
    "sr_resnet_9blocks x2": Case("srcnn", "sr_resnet_9blocks", 2),
    "sr_resnet_9blocks x4": Case("srcnn", "sr_resnet_9blocks", 4),
}
# with the side of a plane of the network's input, in pixels
PLANES = {
    "resnet_9blocks": (Case("feedforward", "resnet_9blocks"), 512),
    "resnet_6blocks": (Case("feedforward", "resnet_6blocks"), 512),
    "sr_resnet_9blocks x2": (Case("srcnn", "sr_resnet_9blocks", 2), 256),
    "sr_resnet_9blocks x4": (Case("srcnn", "sr_resnet_9blocks", 4), 256),
    "unet_128": (Case("pix2pix", "unet_128"), 1024),
}

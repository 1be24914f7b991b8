"""What training and the prediction of single planes are measured on: the published networks."""

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
TRAINING_ON_GPU = {"SRGAN x4, width 256": Case("srgan", "sr_resnet_9blocks", 4, 256)}  # the published size, as well
# with the side of a plane of the network's input, in pixels
PLANES = {
    "resnet_9blocks": (Case("feedforward", "resnet_9blocks"), 512),
    "resnet_6blocks": (Case("feedforward", "resnet_6blocks"), 512),
    "sr_resnet_9blocks x2": (Case("srcnn", "sr_resnet_9blocks", 2), 256),
    "sr_resnet_9blocks x4": (Case("srcnn", "sr_resnet_9blocks", 4), 256),
    "unet_128": (Case("pix2pix", "unet_128"), 1024),
    "resnet_6blocks, width 16": (Case("feedforward", "resnet_6blocks", width=16), 1024),
    "unet_128, width 16": (Case("pix2pix", "unet_128", width=16), 1024),
}
# of which ours computes some rows at a time; one pass over the whole takes up to 10 GB
LARGE_PLANES = {
    "unet_256, width 32, 2048 x 2048": (Case("pix2pix", "unet_256", width=32), 2048),
    "resnet_6blocks, width 32, 2048 x 2048": (Case("feedforward", "resnet_6blocks", width=32), 2048),
    "sr_resnet_9blocks x2, 1024 x 1024": (Case("srcnn", "sr_resnet_9blocks", 2), 1024),
    "unet_128, 2048 x 2048": (Case("pix2pix", "unet_128"), 2048),
    "unet_256, 2048 x 2048": (Case("pix2pix", "unet_256"), 2048),
    "resnet_9blocks, 2048 x 2048": (Case("feedforward", "resnet_9blocks"), 2048),
    "unet_128, 4096 x 4096": (Case("pix2pix", "unet_128"), 4096),
    "unet_256, 4096 x 4096": (Case("pix2pix", "unet_256"), 4096),
    "resnet_9blocks, 4096 x 4096": (Case("feedforward", "resnet_9blocks"), 4096),
}
OURS_ALONE = {"resnet_9blocks, 4096 x 4096"}  # one pass takes three images of 4.3 GB
LARGER_ON_GPU = 2  # times the side: the small planes keep no GPU busy
PLANES_ON_GPU = {"sr_resnet_9blocks x4, width 256": (Case("srgan", "sr_resnet_9blocks", 4, 256), 256)}

# inference engines that run the published network, with their packages
ENGINES = {"OpenVINO": "openvino", "ONNX Runtime": "onnxruntime"}
ENGINE_WAYS: dict[str, tuple[str, ...]] = {
    "OpenVINO": ("--engine", "openvino"),
    "OpenVINO, bfloat16": ("--engine", "openvino", "--precision", "bfloat16"),
    "ONNX Runtime": ("--engine", "onnxruntime"),
}

# how ours computes: as a rule, and by what users may choose
WAYS: dict[str, dict[str, tuple[str, ...]]] = {
    "cpu": {"ours": (), "ours, bfloat16": ("--precision", "bfloat16")},
    "cuda": {
        "ours": (),
        "ours, bfloat16": ("--precision", "bfloat16"),
        "ours, bfloat16, compiled": ("--precision", "bfloat16", "--compile"),
    },
}


def training_cases(device: str) -> dict[str, Case]:
    """What is trained on a device."""
    return TRAINING | (TRAINING_ON_GPU if device == "cuda" else {})


def plane_cases(device: str) -> dict[str, tuple[Case, int]]:
    """Networks with the side of the plane that they predict on a device."""
    if device == "cpu":
        return PLANES | LARGE_PLANES
    cases = PLANES | PLANES_ON_GPU
    return {name: (case, LARGER_ON_GPU * side) for name, (case, side) in cases.items()} | LARGE_PLANES

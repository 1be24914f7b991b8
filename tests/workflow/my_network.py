"""A network of the user's own, for the contract of reruns: it is named and never trained."""

from txm2sem_core.networks import GeneratorOptions, ImageGenerator, build_generator, register_generator


@register_generator("mine")
def mine(options: GeneratorOptions) -> ImageGenerator:
    return build_generator("resnet_1blocks", width=options.width)

# The user's raw files, and what a phantom left in their place: as inputs of rules, and as digests among their params.
from txm2sem_core.provenance import raw_digest
from txm2sem_core.samples.pairs import label_files, pair_files
from txm2sem_core.samples.starts import place_in_run, weights_digest
from txm2sem_core.samples.volume import volume_files


def given(files):
    """The user's files as inputs, never newer than a result; what looks like a pattern is left to its digest."""
    return [ancient(str(file)) for file in files if not set(str(file)) & set("{}<>")]


@cache
def labels_digest(sample):
    """A digest of them, as a param."""
    return raw_digest(label_files(SAMPLES[sample]).values())


def labels_index(sample):
    """The file with the digest of the placed label images, as an input, where phases are separated by them."""
    folder = FILES[sample].labels
    return [f"{folder}/index.csv", ancient(f"{folder}/pairs")] if folder else []


def phantom_files(sample, *names):
    """What tells of a phantom, and those of its files that are needed: one that was removed is made again."""
    return [f"{RESULTS}/{sample}/raw/phantom.json"] + [ancient(f"{RESULTS}/{sample}/raw/{name}") for name in names]


def truth_files(sample):
    """The true FIB-SEM volume as an input, where it is known."""
    return phantom_files(sample, "truth") if FILES[sample].has_truth else []


def raw_files(sample):
    """What a phantom left, or the user's own files."""
    if SAMPLES[sample].source == "phantom":
        return phantom_files(sample, "pairs.csv", "txm", "sem", "charge", "lowdensity", "highdensity")
    return given(pair_files(SAMPLES[sample], FILES[sample].raw))


def raw_volume(sample):
    """The TXM volume as an input, with its further scans and the mask of what was measured of it."""
    if SAMPLES[sample].source == "phantom":
        return phantom_files(sample, "txm_volume")
    return given(volume_files(SAMPLES[sample], FILES[sample].raw))


def sought_volume(sample):
    """The TXM volume as an input of the registration, where the planes of the FIB-SEM slices are sought in it."""
    return raw_volume(sample) if SAMPLES[sample].sought else []


def sought_digest(sample):
    """A digest of it, as a param."""
    return volume_digest(sample) if SAMPLES[sample].sought else ""


def coarse_volume(sample, variant):
    """The coarser TXM volume that the variant needs, as an input; nothing where it is the one that was measured."""
    here = FILES[sample]
    return by_content([here.input_volume(variant)]) if here.factor(variant) > 1 else []


def training_volume(sample, variant):
    """The TXM volume as an input of the training, where it draws slices from it."""
    if not FILES[sample].draws_from_volume(variant):
        return []
    return coarse_volume(sample, variant) or raw_volume(sample)


@cache
def pairs_digest(sample):
    """A digest of the user's pairs, as a param; a phantom's files follow from its settings."""
    if SAMPLES[sample].source == "phantom":
        return ""
    return raw_digest(pair_files(SAMPLES[sample], FILES[sample].raw))


@cache
def volume_digest(sample):
    """A digest of the user's TXM volume and its mask, as a param; taken once, since thousands of jobs of a volume have it."""
    if SAMPLES[sample].source == "phantom" or not FILES[sample].has_volume:
        return ""
    return raw_digest(volume_files(SAMPLES[sample], FILES[sample].raw))


def starting_model(variant):
    """The model that a training starts from, as inputs: one of this run, which is made first, or the user's."""
    folder = CONFIG.variant(variant).init_from
    if folder is None:
        return []
    description, weights = f"{folder}/model.json", f"{folder}/generator.safetensors"
    if place_in_run(folder, CONFIG, SAMPLES):
        return [description, ancient(weights)]
    return given([description, weights])


def starting_digest(variant):
    """A digest of the user's model that a training starts from, as a param; of one of this run, its input tells."""
    folder = CONFIG.variant(variant).init_from
    return "" if folder is None or place_in_run(folder, CONFIG, SAMPLES) else weights_digest(folder)

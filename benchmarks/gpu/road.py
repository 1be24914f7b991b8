"""Write the tiny configuration of the whole workflow, whose pairs need no registration, into a copy of it."""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from txm2sem_core import io
from txm2sem_core.config import PhantomSettings, parse_settings
from txm2sem_core.phantom import make_phantom

PHANTOM = {"shape": (16, 128, 128), "pair_every": 3, "max_rotation_deg": 0, "max_shift_px": 0, "max_scale_percent": 0}
CONFIG = {
    "samples": "samples.tsv",
    "figures": "figures.yaml",
    "register": {"transform": "none"},
    "patches": {"size_px": 32, "train": 8, "evaluation_count": 4},
    "train": {"generator": {"width": 4}, "schedule": {"policy": "constant", "epochs": 1}, "batch_size": 4},
    "variants": {
        "pointwise": {"family": "baseline", "generator": {"name": "pointwise"}},
        "feedforward": {"family": "feedforward", "generator": {"name": "resnet_6blocks"}, "z_penalty": {"stack": 0.01}},
        "srcnn_x2": {"family": "srcnn", "factor": 2, "generator": {"name": "sr_resnet_6blocks"}},
    },
}


def main() -> None:
    folder = Path(sys.argv[1])
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG, sort_keys=False))
    (folder / "figures.yaml").write_text(
        yaml.safe_dump({"common": {"dpi": 72, "formats": ["png"]}, "montage": {"patches": 1}})
    )
    make_phantom(parse_settings(PhantomSettings, "{}", **PHANTOM), folder / "raw")
    for kind in ("txm", "sem", "charge"):  # the FIB-SEM's data bar covered some rows
        rows = io.read_image(next(iter(sorted((folder / "raw" / "sem").glob("*.tif"))))).shape[0]
        for place in sorted((folder / "raw" / kind).glob("*.tif")):
            io.write_tiff(place, io.read_image(place)[:rows])
    names = ("sample", "source", "txm", "sem", "charge", "txm_volume", "pair_z", "voxel_size_nm")
    volume = next(
        place for place in (folder / "raw" / "txm_volume", *(folder / "raw").glob("txm_volume*")) if place.exists()
    )
    values = ("tiny", "pairs", "raw/txm", "raw/sem", "raw/charge", f"raw/{volume.name}", "1:14:3", "32,32,32")
    (folder / "samples.tsv").write_text("\t".join(names) + "\n" + "\t".join(values) + "\n")


if __name__ == "__main__":
    main()

"""The finished run as a Workflow Run RO-Crate (profile 0.5, https://w3id.org/ro/wfrun/workflow/0.5).

The folder of the results is the crate: `ro-crate-metadata.json` names the workflow, what it was given, what it made,
when and with what. Inputs stay where they are and are named by their digests.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from txm2sem_core import io
from txm2sem_core.errors import ConfigError
from txm2sem_core.provenance.record import Run, describe_run
from txm2sem_core.samples.table import Row, rows_of

PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": ("Workflow RO-Crate", "1.0"),
}
SOURCE = "crate"  # folder of the results with the workflow, its settings and the table of samples
LICENCE = "https://spdx.org/licenses/MIT"
SNAKEMAKE = "https://w3id.org/workflowhub/workflow-ro-crate#snakemake"


def write_provenance(run: Run, root: Path) -> None:
    """Leave `provenance.json`, `ro-crate-metadata.json` and the folder `crate/` in the results of a finished run.

    Args:
        run: the run.
        root: where the Snakefile lies.

    Raises:
        InputError: a file of the run is missing or damaged.
        ConfigError: the library `rocrate` is not installed.
    """
    record = describe_run(run)
    io.write_json(run.results / "provenance.json", record)
    copy_workflow(run, root)
    write_crate(record, run.title, run.results)


def copy_workflow(run: Run, root: Path) -> None:
    """Copy what defines the run beside its results: Snakefile, rules, scripts, environments, settings and samples."""
    with io.atomic_path(run.results / SOURCE) as folder:
        folder.mkdir()
        shutil.copyfile(root / "Snakefile", folder / "Snakefile")
        for name in ("workflow", "envs"):
            shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        if (root / "requirements.lock").is_file():
            shutil.copyfile(root / "requirements.lock", folder / "requirements.lock")
        (folder / "config.yaml").write_text(run.settings, encoding="utf-8")
        with (folder / "samples.tsv").open("w", encoding="utf-8", newline="") as stream:
            rows = csv.DictWriter(stream, list(Row.model_fields), delimiter="\t", lineterminator="\n")
            rows.writeheader()
            rows.writerows(row.model_dump() for row in rows_of(run.samples))


def write_crate(record: dict[str, Any], title: str, results: Path) -> None:
    """Write `ro-crate-metadata.json` into `results`, of what `record.describe_run` tells.

    Raises:
        ConfigError: the library `rocrate` is not installed.
    """
    try:
        from rocrate.model import ComputationalWorkflow, ContextEntity
        from rocrate.rocrate import ROCrate
    except ImportError as error:
        raise ConfigError("rocrate: the package is not installed. Run `pip install rocrate`.") from error
    crate = ROCrate(version="1.1")  # what the profile is written for
    crate.name = title
    crate.description = "FIB-SEM volumes predicted from TXM volumes by TXM2SEM, with the evidence: see report.html."
    crate.add(ContextEntity(crate, LICENCE, {"@type": "CreativeWork", "name": "MIT Licence"}))
    stated = {"name": "No licence stated", "description": "The results belong to those whose samples they are of."}
    crate.license = crate.add(ContextEntity(crate, "#licence", {"@type": "CreativeWork", **stated}))
    language = {"@type": "ComputerLanguage", "name": "Snakemake", "url": {"@id": "https://snakemake.readthedocs.io"}}
    language["version"] = record["software"].get("snakemake", "unknown")
    crate.add(ContextEntity(crate, SNAKEMAKE, language))
    profiles = [
        crate.add(ContextEntity(crate, uri, {"@type": "CreativeWork", "name": name, "version": version}))
        for uri, (name, version) in PROFILES.items()
    ]
    crate.root_dataset["conformsTo"] = profiles
    own = {"name": "TXM2SEM", "version": record["software"]["txm2sem"], "programmingLanguage": {"@id": SNAKEMAKE}}
    own |= {"license": {"@id": LICENCE}, "encodingFormat": "text/plain"}
    if record["software"]["commit"]:
        own["identifier"] = record["software"]["commit"]
    relative = f"{SOURCE}/Snakefile"
    workflow = crate.add(ComputationalWorkflow(crate, results / relative, relative, properties=own))
    crate.mainEntity = workflow
    action: dict[str, Any] = {
        "@type": "CreateAction",
        "name": f"Run of TXM2SEM: {title}",
        "description": "All stages, from raw pairs to the report; provenance.json lists the jobs and their times.",
        "instrument": workflow,
        "actionStatus": {"@id": "http://schema.org/CompletedActionStatus"},
        "endTime": record["written"],
        "object": [*_settings(crate, results), *_inputs(crate, record, ContextEntity)],
        "result": [*_results(crate, record, results)],
    }
    started = [job["started"] for job in record["jobs"] if job["started"]]
    if started:
        action["startTime"] = min(started)
    crate.root_dataset["mentions"] = crate.add(ContextEntity(crate, "#run", action))
    crate.datePublished = record["written"]
    io.write_json(results / "ro-crate-metadata.json", crate.metadata.generate())


def _settings(crate: Any, results: Path) -> Iterable[Any]:
    for name, meaning in (
        ("config.yaml", "Settings, complete with their defaults"),
        ("samples.tsv", "Table of samples"),
    ):
        yield _file(crate, results, f"{SOURCE}/{name}", meaning)


def _inputs(crate: Any, record: dict[str, Any], entity: Any) -> Iterable[Any]:
    """The user's own files stay where they are: of each folder the digest of its content."""
    for sample, described in record["samples"].items():
        for column, given in described["inputs"].items():
            properties = {
                "@type": "PropertyValue",
                "name": f"{column} of sample {sample}",
                "value": f"sha256:{given['sha256']}",
                "description": f"Digest of {given['path']}, which the sample table names. Not part of this crate.",
            }
            yield crate.add(entity(crate, f"#{sample}-{column}", properties))


def _results(crate: Any, record: dict[str, Any], results: Path) -> Iterable[Any]:
    yield _file(crate, results, "provenance.json", "Where these results come from", with_digest=False)
    yield _file(crate, results, record["report"]["path"], "Report")
    for page in record["report"]["pages"]:
        yield _file(crate, results, page, "Report of a sample")
    for model in record["models"]:
        for name in ("generator.safetensors", "model.json"):
            yield _file(crate, results, f"{model['path']}/{name}", f"Model of {model.get('family', 'unknown')} family")
    for path in record["tables"]:
        yield _file(crate, results, path, "Table of figures of merit")
    for volume in (volume for volume in record["volumes"] if volume["kept"]):
        digest = {"identifier": f"sha256:{volume['sha256']}"}
        properties = {"name": volume["path"], "description": "Predicted FIB-SEM volume, OME-Zarr", **digest}
        yield crate.add_dataset(results / volume["path"], quote(volume["path"]) + "/", properties=properties)


_FORMATS = {
    ".json": "application/json",
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".yaml": "application/yaml",
    ".html": "text/html",
    ".md": "text/markdown",
    ".tex": "application/x-tex",
    ".safetensors": "application/octet-stream",
}


def _file(crate: Any, results: Path, relative: str, meaning: str, *, with_digest: bool = True) -> Any:
    path = results / relative
    properties = {"name": relative, "description": meaning, "encodingFormat": _FORMATS[path.suffix]}
    if with_digest:
        properties |= {"identifier": f"sha256:{io.sha256_file(path)}", "contentSize": str(path.stat().st_size)}
    return crate.add_file(path, quote(relative), properties=properties)

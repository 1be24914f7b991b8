"""The structure: layers of imports, who may touch formats, sizes of files, rules and environments of the workflow."""

from __future__ import annotations

import ast
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest
import yaml
from workflow_rules import REPOSITORY, RULES, rules, scripts_in, section

from txm2sem_core.costs.forecast import STAGES as STAGES_OF_COST
from txm2sem_core.costs.forecast import stage_of
from txm2sem_core.costs.memory import MEMORY, kind_of
from txm2sem_core.costs.work import SECONDS

PACKAGE = REPOSITORY / "txm2sem_core"
LONGEST_FILE = 450

# Each room of the package on its floor; a room may use rooms of lower floors, and of its own where `BESIDE` says so.
GROUND = {"_moved", "bends", "errors", "geometry", "intensity", "metrics", "networks", "planes", "runtime"}
MIDDLE = {
    "io",
    "config",
    "samples",
    "catalogue",
    "families",
    "checkpoint",
    "acceleration",
    "phases",
    "provenance",
    "plotting",
}
STAGES = {
    "phantom",
    "registration",
    "patches",
    "training",
    "inference",
    "measure",
    "figures",
    "report",
    "export",
    "costs",
}
TOP = {"cli", "commands", "napari_plugin", "__main__"}
FLOORS = [GROUND, MIDDLE, STAGES, TOP]
BESIDE = {("__main__", "cli"), ("cli", "commands")}
FORMATS = {"tifffile", "zarr", "PIL", "imagecodecs", "h5py", "mrcfile", "olefile"}
FORMAT_ROOMS = {"io", "plotting", "report"}  # figures are drawn by plotting, and packed by the report
DEVICE_ROOMS = {"runtime", "training", "inference"}


def modules() -> dict[str, Path]:
    """Dotted name to file, of the whole package."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(REPOSITORY).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


@cache
def imports(path: Path, *, at_import_only: bool = False) -> frozenset[str]:
    """Modules that a file imports, also inside functions unless `at_import_only`."""
    found = set()
    tree = ast.parse(path.read_text())
    nodes = tree.body if at_import_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            own = {f"{node.module}.{alias.name}" for alias in node.names} & MODULES.keys()
            found |= own or {str(node.module)}
    return frozenset(found)


def room(module: str) -> str:
    """The part of the package that a module belongs to: `txm2sem_core.io.images` is of `io`."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def floor(name: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if name in rooms)


def test_every_part_of_the_package_has_its_floor() -> None:
    rooms = {room(module) for module in MODULES} - {""}
    assert rooms == set.union(*FLOORS), "give a new module its floor, and remove what is gone"


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down(module: str) -> None:
    here = room(module) or "_moved"  # the package itself imports that alone
    for imported in imports(MODULES[module]):
        there = room(imported)
        if not imported.startswith("txm2sem_core") or there in ("", here):
            continue
        if floor(here) in (0, 1):
            allowed = floor(there) <= floor(here)  # the circle test sees to the rest
        else:
            allowed = floor(there) < floor(here) or (here, there) in BESIDE
        assert allowed, f"{module} (floor {floor(here)}) imports {imported} (floor {floor(there)})"


def test_no_circle_of_imports() -> None:
    graph = {
        name: {i for i in imports(path) if i in MODULES and i != name and not name.startswith(f"{i}.")}
        for name, path in MODULES.items()
    }
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join([*path, name])
        if name not in done:
            for following in sorted(graph[name]):
                visit(following, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_no_circle_of_rooms() -> None:
    """Not even where no two modules import each other: a room can be read with nothing above it in mind."""
    uses = {room(name): set() for name in MODULES}
    for name, path in MODULES.items():
        uses[room(name)] |= {room(used) for used in imports(path) if used in MODULES} - {room(name), ""}
    while done := {name for name, used in uses.items() if not used}:
        uses = {name: used - done for name, used in uses.items() if name not in done}
    assert not uses


def test_only_io_touches_formats() -> None:
    for module, path in MODULES.items():
        used = {name.split(".")[0] for name in imports(path)} & FORMATS
        assert not used or room(module) in FORMAT_ROOMS, f"{module} imports {used}"


def test_only_training_and_inference_choose_devices() -> None:
    for module, path in MODULES.items():
        if "txm2sem_core.runtime.device" in imports(path):
            assert room(module) in DEVICE_ROOMS, module


def test_locks_are_taken_in_one_place() -> None:
    used = [module for module, path in MODULES.items() if {"fcntl", "filelock"} & imports(path)]
    assert used == ["txm2sem_core.runtime.flock"]


def test_napari_is_imported_in_one_place() -> None:
    """So that whatever else the plugin does can be tested without it."""
    known = {"magicgui", "napari", "qtpy"}
    used = [module for module, path in MODULES.items() if known & {name.split(".")[0] for name in imports(path)}]
    assert used == ["txm2sem_core.napari_plugin.widgets"]


def test_the_core_does_not_know_snakemake() -> None:
    for module, path in MODULES.items():
        assert not any(name.split(".")[0] == "snakemake" for name in imports(path)), module


def test_the_command_line_starts_without_heavy_imports() -> None:
    heavy = {"torch", "numpy", "pandas", "scipy", "skimage", "matplotlib", "zarr", "tifffile"}
    for module in (
        "txm2sem_core",
        "txm2sem_core.__main__",
        "txm2sem_core.cli",
        "txm2sem_core.commands.options",
        "txm2sem_core.errors",
    ):
        assert not {name.split(".")[0] for name in imports(MODULES[module], at_import_only=True)} & heavy


# --- files


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [REPOSITORY / name for name in listed.stdout.splitlines() if (REPOSITORY / name).is_file()]


def test_files_are_small_enough_to_read() -> None:
    for path in tracked():
        if path.suffix in (".py", ".smk") and "tests" not in path.parts:
            assert len(path.read_text().splitlines()) <= LONGEST_FILE, path


def test_no_path_of_a_machine_stands_in_the_repository() -> None:
    machine = re.compile(r"(?<![\w.~<}])/(?:home|Users|work|root|mnt|scratch|tmp)/[\w.]")
    for path in tracked():
        if path.suffix in (".py", ".smk", ".yaml", ".yml", ".toml", ".md", ".tsv", ".rst", "") and path != Path(
            __file__
        ):
            found = machine.search(path.read_text(errors="replace"))
            assert found is None, f"{path}: {found and found[0]}"


# --- the workflow


def pins(lines: list[str]) -> dict[str, str]:
    return {name.lower(): version for name, _, version in (line.partition("==") for line in lines) if version}


@pytest.mark.parametrize("path", sorted((REPOSITORY / "envs").glob("*.yaml")), ids=lambda path: path.name)
def test_environments_have_the_versions_of_the_lock(path: Path) -> None:
    lock = pins((REPOSITORY / "requirements.lock").read_text().splitlines())
    listed = next(entry for entry in yaml.safe_load(path.read_text())["dependencies"] if isinstance(entry, dict))["pip"]
    environment = pins(listed)
    assert len(environment) == len(listed) > 0
    assert environment == {name: lock.get(name) for name in environment}


RESOURCES = {"gpu", "mem_mb", "runtime", "cpus_per_gpu", "gres", "disk_mb", "slurm_partition", "slurm_account", "tasks"}


@pytest.mark.parametrize(("name", "text"), rules(), ids=[name for name, _ in rules()])
def test_every_rule_has_a_log_a_benchmark_an_environment_and_known_resources(name: str, text: str) -> None:
    assert "_" in name, "rules are verb_noun"
    for key in ("log", "benchmark", "conda", "resources"):
        assert section(text, key), f"{name} has no {key}:"
    environment = re.search(r'"\.\./\.\./(envs/\w+\.yaml)"', section(text, "conda") or "")
    assert environment is not None
    assert (REPOSITORY / environment[1]).is_file()
    assert set(re.findall(r"^ {8}(\w+)=", section(text, "resources") or "", flags=re.MULTILINE)) <= RESOURCES
    assert "retries:" not in text
    assert not re.search(r"\b(?:temp|protected)\(", text)


def test_only_the_volumes_that_pass_are_removed_with_the_reports_of_their_slabs() -> None:
    """What a job made is kept otherwise (`predict.keep`)."""
    found = {path.name for path in RULES if re.search(r"\b(?:temp|protected)\(", path.read_text())}
    assert found == {"predict_passing.smk"}
    text = (REPOSITORY / "workflow/rules/predict_passing.smk").read_text()
    bodies = re.split(r"^use rule \w+ as predict_passing_\w+ with:$", text, flags=re.MULTILINE)[1:]
    assert len(bodies) == len(re.findall(r"^use rule|^rule", text, re.MULTILINE)) == text.count("temp(")
    assert all(re.search(r"(volume=temp\(directory|report=temp\()", body) for body in bodies)
    assert not re.search(r"digest=temp", text)


@pytest.mark.parametrize(("name", "text"), rules(), ids=[name for name, _ in rules()])
def test_memory_and_time_grow_with_every_attempt(name: str, text: str) -> None:
    resources = section(text, "resources") or ""
    assert re.search(rf'^ +mem_mb=memory_of\(f?"{name}"\),$', resources, flags=re.MULTILINE), name
    assert re.search(rf'^ +runtime=minutes_of\(f?"{name}"\),$', resources, flags=re.MULTILINE), name
    assert kind_of(name) in MEMORY.keys() & SECONDS.keys()
    assert stage_of(name) in STAGES_OF_COST.values()


def test_the_cluster_profile_sends_the_rules_that_use_a_gpu_to_one_place_and_knows_every_rule_that_it_names() -> None:
    profile = yaml.safe_load((REPOSITORY / "profiles/slurm/config.yaml").read_text())
    on_gpu = {name for name, text in rules() if re.search(r"^ {8}gpu=", section(text, "resources") or "", re.MULTILINE)}
    whole = "".join(path.read_text() for path in RULES)
    for base, name, text in re.findall(
        r"^use rule (\w+) as (\w+) with:\n(.*?)(?=^\S|\Z)", whole, re.MULTILINE | re.DOTALL
    ):
        if base in on_gpu and "\n    resources:" not in text:
            on_gpu.add(name)
    assert set(profile["set-resources"]) == on_gpu
    first, *others = profile["set-resources"].values()
    assert all(other is first for other in others), "written once, and referred to"
    derived = {name for path in RULES for name in re.findall(r"^use rule \w+ as (\w+)", path.read_text(), re.MULTILINE)}
    assert set(profile["groups"]) <= {name for name, _ in rules()} | derived
    assert set(profile["groups"]).isdisjoint(on_gpu)


def test_scripts_exist_and_none_reads_the_whole_config() -> None:
    named = {match for _, text in rules() for match in scripts_in(text)}
    scripts = {path.name for path in (REPOSITORY / "workflow/scripts").glob("*.py")}
    assert {"call_function.py" if ":" in name else f"{name}.py" for name in named} == scripts - {"common.py"}
    for name in scripts:
        assert "snakemake.config" not in (REPOSITORY / "workflow/scripts" / name).read_text()


@pytest.mark.parametrize(("name", "text"), rules(), ids=[name for name, _ in rules()])
def test_every_rule_states_the_code_that_it_runs(name: str, text: str) -> None:
    """By content: a script or a module whose file is merely touched, or reworded, must not run anything again."""
    assert not any(section(text, key) for key in ("script", "run", "notebook")), name
    assert "txm2sem_core/" not in text
    shell, params = section(text, "shell") or "", section(text, "params") or ""
    if shell.strip() == "RUN_SCRIPT":
        assert len(scripts_in(params)) == params.count("run_script(") == 1
    else:
        (command,) = re.findall(r"python -m txm2sem_core ([\w-]+)", shell)
        assert re.findall(r'^ {8}code=lambda w: command_code\("([\w-]+)"\),$', params, re.MULTILINE) == [command]


PAGES = sorted(
    [
        *REPOSITORY.glob("*.md"),
        *REPOSITORY.glob("docs/**/*.md"),
        *REPOSITORY.glob("config/*.md"),
        REPOSITORY / "results/README.md",
    ]
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_every_link_leads_somewhere(page: Path) -> None:
    text = page.read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name}: {target}"
        if anchor and file.suffix == ".md":
            headings = re.findall(r"^#+ (.*)$", file.read_text(), flags=re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in slugs, f"{page.name}: {target}"

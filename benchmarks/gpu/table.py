"""The short table, of whatever the parts have left so far; and everything in one file, results.json."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

WORK, OUT = Path(os.environ["WORK"]), Path(os.environ["OUT"])
LOSS, GRADIENT, MADE = 0.02, 0.01, 0.02  # of float32 without TF32: beyond these a row is shown by name
HALF_LOSS = 0.1


def read(name: str) -> Any:
    place = WORK / "json" / f"{name}.json"
    return json.loads(place.read_text()) if place.exists() else None


def worst(rows: dict[str, Any], way: str, key: str) -> str:
    values = {name: row[way][key] for name, row in rows.items() if way in row and key in row[way]}
    if not values:
        return "-"
    name = max(values, key=lambda n: values[n])
    return f"{values[name]:.1e} ({name})"


def machine(a: dict[str, Any]) -> list[str]:
    lines = [
        f"{a['device']}, torch {a['torch']}, CUDA {a['cuda']}, cuDNN {a['cudnn']}, triton {a['triton']}, {a['cores']} cores, gcc {'yes' if a['gcc'] else 'no'}"
    ]
    if "matrix_tflops" in a:
        lines.append(
            "matrix TFLOP/s: "
            + ", ".join(f"{k} {v:.3g}" for k, v in a["matrix_tflops"].items())
            + f"; copy {a['copy_tb_s']:.3g} TB/s; launch {a['launch_us']:.1f} us"
        )
        keys = [k for k in a if k.endswith("_gb_s")]
        lines.append("host copies GB/s: " + ", ".join(f"{k[:-5].replace('_', ' ')} {a[k]:.1f}" for k in keys))
    for name, row in (a.get("convolutions") or {}).items():
        lines.append(
            f"  conv {name}: {row['tflops']:.3g} TFLOP/s, {row['us']:.0f} us, with reflected border {row['us_with_reflected_border']:.0f} us"
        )
    return lines


def tests() -> list[str]:
    lines = []
    for name, label in (("tests_gpu", "GPU tests"), ("tests_more", "tests that choose a device")):
        place = WORK / f"{name}.xml"
        if place.exists():
            text = place.read_text()
            counts = {key: re.search(rf'{key}="(\d+)"', text) for key in ("tests", "failures", "errors", "skipped")}
            lines.append(f"{label}: " + ", ".join(f"{key} {found[1]}" for key, found in counts.items() if found))
            lines += [
                f"  FAILED {one}"
                for one in re.findall(r'<testcase classname="[^"]*" name="([^"]*)"[^>]*>\s*<(?:failure|error)', text)
            ][:12]
    return lines


def families(c: dict[str, Any]) -> list[str]:
    lines, rows = [], c.get("training", {})
    ways = sorted({way for row in rows.values() for way in row}, key=lambda w: (w != "float32", w))
    for way in ways:
        lines.append(
            f"training, {way}: loss {worst(rows, way, 'loss')}, gradient {worst(rows, way, 'gradient')}, prediction {worst(rows, way, 'made')}"
        )
    for name, row in rows.items():
        for way, one in row.items():
            limit = LOSS if way.startswith("float32") else HALF_LOSS
            if "error" in one:
                lines.append(f"  ERROR {name}, {way}: {one['error'][:200]}")
            elif one.get("loss", 0) > limit or (
                way.startswith("float32") and (one.get("gradient", 0) > GRADIENT or one.get("made", 0) > MADE)
            ):
                lines.append(
                    f"  LARGE {name}, {way}: "
                    + ", ".join(f"{k} {v:.1e}" for k, v in one.items() if isinstance(v, float))
                )
    for way in sorted({way for row in c.get("planes", {}).values() for way in row}):
        lines.append(
            f"planes, {way}: against the CPU at most {worst(c['planes'], way, 'whole')}, root mean square {worst(c['planes'], way, 'whole_rms')}, tiled against whole {worst(c['planes'], way, 'tiled')}"
        )
    for name, row in c.get("planes", {}).items():
        lines += [f"  ERROR plane {name}, {way}: {one['error'][:200]}" for way, one in row.items() if "error" in one]
    for extra in ("tf32", "compiled"):
        for name, row in (c.get(extra) or {}).items():
            one = row[extra]
            lines.append(
                f"{extra}, {name}: "
                + (
                    one["error"][:200]
                    if "error" in one
                    else ", ".join(f"{k} {v:.1e}" for k, v in one.items() if isinstance(v, float))
                )
            )
    waits: dict[str, list[str]] = {}
    for name, row in rows.items():
        for place, times in (row.get("float32", {}).get("waits") or {}).items():
            waits.setdefault(place, []).append(f"{name} x{times}")
    lines += [f"  waits in a step: {place}: {', '.join(names)[:160]}" for place, names in waits.items()]
    return lines


def resumed(c: dict[str, Any]) -> list[str]:
    lines = []
    for name, one in c.items():
        if "error" in one:
            lines.append(f"training, {name}: ERROR {one['error'][-200:]}")
        elif name != "first":
            lines.append(
                f"training, {name} against the first: same bytes {one['same_bytes']}, greatest {one['greatest']:.1e}"
                + (f"; {one['went_on']}" if "went_on" in one else "")
            )
    return lines


def equal(c: dict[str, Any]) -> list[str]:
    lines = []
    for name, row in c.items():
        for label, one in row.items():
            lines.append(
                f"volume {name}, {label}: "
                + (
                    f"ERROR {one['error'][-200:]}"
                    if "error" in one
                    else f"same bytes {one['same_chunks']}, greatest {one['greatest']} grey levels, {one['share']:.2%} differ"
                )
            )
    return lines


def training(e: dict[str, Any]) -> list[str]:
    lines = []
    for name, row in e.items():
        if "error" in row:
            lines.append(f"{name}: ERROR {row['error'][-200:]}")
            continue
        text = f"{name}: {row['patches_per_s']:.1f} patches/s, {row['ms_a_step']:.2f} ms a step (data {row['ms_data']:.2f}, step {row['ms_step']:.2f}, check {row['ms_check']:.2f}; checked late {row['ms_a_step_checked_late']:.2f})"
        for key, form in (
            ("tflops", "{:.1f} TFLOP/s"),
            ("held_mb", "{:.0f} MB held"),
            ("utilisation_percent", "GPU busy {:.0f} % by nvidia-smi"),
            ("watts", "{:.0f} W"),
        ):
            if row.get(key) is not None:
                text += ", " + form.format(row[key])
        lines.append(text)
        if "profile" in row:
            p = row["profile"]
            lines.append(
                f"  profile: idle {p['idle_share']:.0%}, {p['kernels_a_step']:.0f} kernels a step; "
                + ", ".join(f"{k} {v:.0%}" for k, v in p["by_kind"].items() if v > 0.005)
            )
    return lines


def quality(names: list[str]) -> list[str]:
    lines = []
    for name in names:
        rows = read(f"q_{name}")
        if not isinstance(rows, dict) or "status" in rows:
            continue
        for seed in sorted({key.partition(", ")[2] for key in rows}):
            pair = [rows.get(f"{precision}, {seed}") for precision in ("float32", "bfloat16")]
            if all(pair):
                one, other = pair
                lines.append(
                    f"{name}, {seed}: PSNR {one['psnr']:.3f} float32, {other['psnr']:.3f} bfloat16 "
                    f"({other['psnr'] - one['psnr']:+.3f}); {one['seconds']:.0f} and {other['seconds']:.0f} s"
                )
    return lines


def steps(h: dict[str, Any]) -> list[str]:
    lines = []
    for name, row in h.items():
        rates = ", ".join(f"{key} {row[key]:.1f}" for key in ("launched", "captured") if key in row)
        idle = f"; idle {row['idle_share']:.0%}, {row['held_mb']:.0f} MB held" if "idle_share" in row else ""
        lines.append(f"{name}: patches/s {rates}{idle}" + (f"; ERROR {row['error'][-200:]}" if "error" in row else ""))
    return lines


def predicted(f: dict[str, Any], a: dict[str, Any] | None) -> list[str]:
    lines = []
    rates = (a or {}).get("matrix_tflops", {})
    for name, row in f.items():
        if "error" in row:
            lines.append(f"{name}: ERROR {row['error'][-200:]}")
            continue
        rate = rates.get("bf16" if "bfloat16" in name else "tf32")
        share = f" ({row['network_tflops'] / rate:.0%} of the matrix rate)" if rate else ""
        lines.append(
            f"{name}: {row['voxels_per_s']:.3g} voxels/s, {row['seconds']:.2f} s; a plane {row['network_ms_a_plane']:.2f} ms on the device, {row['network_tflops']:.3g} TFLOP/s{share}, there and back {row['there_and_back_ms_a_plane']:.2f} ms"
        )
        lines.append("  " + ", ".join(f"{k[7:]} {v:.0%}" for k, v in row.items() if k.startswith("share: ")))
    return lines


def benchmarks(d: dict[str, Any]) -> list[str]:
    lines = [f"note: {note}"[:240] for note in d["notes"]]
    for case, runs in d["found"]["training"].items():
        base = runs.get("published", [{}])[0].get("patches_per_s")
        for label, (one,) in runs.items():
            lines.append(
                f"training {case}, {label}: {one['patches_per_s']:.1f} patches/s"
                + (f", x{one['patches_per_s'] / base:.2f}" if base else "")
                + f", {one['peak_bytes'] / 1e6:.0f} MB"
            )
    for case, runs in d["found"]["planes"].items():
        base = runs.get("published", [{}])[0]
        for label, (one,) in runs.items():
            if "seconds" not in one:
                continue
            text = f"plane {case}, {label}: {one['seconds'] * 1e3:.2f} ms"
            if base:
                text += f", x{base['seconds'] / one['seconds']:.2f}, {base['operations'] / one['seconds'] / one['matrix_rate']:.0%} of the matrix rate"
            lines.append(text + (f", differs by {one['difference']:.1e}" if "difference" in one else ""))
    for case, runs in d["found"]["thin"].items():
        for label, ones in runs.items():
            lines.append(f"volume {case}, {label}: {ones[0]['seconds']:.2f} s")
    return lines


def main() -> None:
    everything = {place.stem: json.loads(place.read_text()) for place in sorted((WORK / "json").glob("*.json"))}
    (OUT / "results.json").write_text(json.dumps(everything, indent=1))
    a = read("a_machine")
    parts = [
        ("(a) the machine", "a_machine", lambda: machine(a) if a else []),
        ("(b) tests", "b_tests", tests),
        ("(c) CPU against the device", "c_families", lambda: families(read("c_families") or {})),
        ("(c) killed and gone on", "c_resume", lambda: resumed(read("c_resume") or {})),
        ("(c) volumes", "c_volume", lambda: equal(read("c_volume") or {})),
        ("(g) the workflow", "g_workflow", list),
        ("(d) benchmarks", "d_benchmarks", lambda: benchmarks(read("d_benchmarks")) if read("d_benchmarks") else []),
        ("(e) training at the published size", "e_training", lambda: training(read("e_training") or {})),
        (
            "(q) quality by precision",
            "q_curve",
            lambda: quality(sorted(place.stem[2:] for place in (WORK / "json").glob("q_*.json"))),
        ),
        ("(h) a step as a graph", "h_steps", lambda: steps(read("h_steps") or {})),
        ("(f) a volume", "f_volume", lambda: predicted(read("f_volume") or {}, a)),
    ]
    for title, name, lines in parts:
        status = read(f"{name}.status")
        print(f"=== {title}: " + (f"{status['status']}, {status['seconds']} s" if status else "not run"))
        try:
            for line in lines():
                print("  " + line)
        except Exception as error:
            print(f"  the table of this part: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()

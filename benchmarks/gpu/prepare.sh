#!/bin/bash
# Prepares PROJECT_DIR/.gpu_kit: wheels and scripts for a machine with a CUDA PyTorch (Python 3.12) and no network.
#   bash prepare.sh PROJECT_DIR [--published DIR] [--jacobian DIR] [--store DIR ...] [--without-snakemake] [--without-monai]
# The rivals' code is only copied into the ignored folder; it must never be committed.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 1 ] || { sed -n 2,4p "$0"; exit 2; }
project=$(cd "$1" && pwd); shift
published= jacobian= snakemake=1 monai=1 stores=()
while [ $# -gt 0 ]; do
  case $1 in
    --published) published=$2; shift 2 ;;
    --jacobian) jacobian=$2; shift 2 ;;
    --store) stores+=("$2"); shift 2 ;;
    --without-snakemake) snakemake=0; shift ;;
    --without-monai) monai=0; shift ;;
    *) echo "unknown: $1" >&2; exit 2 ;;
  esac
done
kit=$project/.gpu_kit
most_mib=${MOST_MIB:-55}
pin() { sed -n "s/^\($1\)==/\1==/Ip" "$project/requirements.lock" | head -n 1; }  # NAME==VERSION of the lock
pins() { for name in "$@"; do found=$(pin "$name"); echo "${found:-$name}"; done; }

# what the package imports and a plain CUDA PyTorch image lacks; SimpleITK (53 MB) and imagecodecs (26 MB) do not fit
needed="zarr numcodecs donfig google-crc32c pydantic pydantic_core annotated-types typing-inspection typing_extensions
  mrcfile pyamg xraydb SQLAlchemy greenlet platformdirs olefile"
workflow="snakemake PuLP argparse-dataclass conda-inject ConfigArgParse docutils dpath fastjsonschema gitdb
  GitPython humanfriendly immutables jsonschema jsonschema-specifications jupyter_core nbformat referencing rpds-py
  smart_open smmap snakemake-interface-common snakemake-interface-executor-plugins snakemake-interface-logger-plugins
  snakemake-interface-report-plugins snakemake-interface-scheduler-plugins snakemake-interface-storage-plugins
  sqlmodel tenacity throttler traitlets yte rocrate arcp"
pure="connection_pool"  # comes as source only; made into a wheel here (pure Python)

mkdir -p "$kit/whl"
rm -f "$kit"/whl/*.whl
exclude=$(git -C "$project" rev-parse --git-path info/exclude)
case $exclude in /*) ;; *) exclude=$project/$exclude ;; esac
mkdir -p "$(dirname "$exclude")"
grep -qx '/.gpu_kit/' "$exclude" 2>/dev/null || echo '/.gpu_kit/' >> "$exclude"

platforms=
for n in 17 24 26 27 28 31 34 35; do platforms="$platforms --platform manylinux_2_${n}_x86_64"; done
platforms="$platforms --platform manylinux2014_x86_64 --platform manylinux1_x86_64"
download() {
  python3 -m pip download -q --no-deps --only-binary=:all: --python-version 3.12 --implementation cp $platforms \
    -d "$kit/whl" "$@" 2> >(grep -v 'is ignored: it is neither a file nor' >&2)
}
download $(pins $needed)
if [ $snakemake = 1 ]; then
  download $(pins $workflow)
  python3 -m pip wheel -q --no-deps -w "$kit/whl" $(pins $pure) 2> >(grep -v 'is ignored: it is neither a file nor' >&2)
fi
[ $monai = 1 ] && download monai
cp "$here/on_gpu.sh" "$here"/*.py "$kit/"
rm -rf "$kit/published" "$kit/jacobian"
copy() {  # a checkout's files without its history
  mkdir -p "$2"
  (cd "$1" && tar c --exclude=.git --exclude='*.png' --exclude='*.jpg' --exclude=.DS_Store .) | tar x -C "$2"
}
[ -n "$published" ] && copy "$published" "$kit/published"
[ -n "$jacobian" ] && copy "$jacobian" "$kit/jacobian"
mkdir -p "$kit/stores"
for store in ${stores[@]+"${stores[@]}"}; do  # by the name of its sample's folder
  name=$(basename "$(dirname "$(cd "$store" && pwd)")")
  tar -C "$store/.." --transform "s,^$(basename "$store"),$name," -c "$(basename "$store")" | xz -3 > "$kit/stores/$name.tar.xz"
done
kib=$(du -sk --apparent-size "$kit" | cut -f1)
tracked=$(git -C "$project" ls-files -z | (cd "$project" && xargs -0 du -cb 2>/dev/null) | tail -n 1 | cut -f1)
echo "wheels: $(ls "$kit/whl" | wc -l), $(du -sk --apparent-size "$kit/whl" | cut -f1) KiB"
echo "the kit: $((kib / 1024)).$((kib % 1024 * 10 / 1024)) MiB in $kit; the project's own files: $((tracked / 1048576)) MiB"
[ -d "$kit/published" ] && [ -d "$kit/jacobian" ] || echo "without the published code: benchmarks have no such rival"
echo "left out: SimpleITK (registration cannot run), imagecodecs (TIFF compressions other than zlib), CAREamics"
[ $((kib / 1024)) -lt "$most_mib" ] || { echo "too large: the limit is $most_mib MiB" >&2; exit 1; }

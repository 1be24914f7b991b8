#!/bin/bash
# Checks and measures TXM2SEM on a machine with a CUDA PyTorch and no network. Run in the project's root, after
# prepare.sh:   OUT=DIR bash .gpu_kit/on_gpu.sh
#   DEVICE=cuda|cpu  SCALE=full|tiny  LIMIT_S=500  ONLY="a b c d e f g"  PARALLEL=1|0  WORK=DIR  PYTHON=python3
set -u
begun=$(date +%s)
DEVICE=${DEVICE:-cuda} SCALE=${SCALE:-full} LIMIT_S=${LIMIT_S:-500} ONLY=${ONLY:-a b c d e f g h q} PYTHON=${PYTHON:-python3}
PARALLEL=${PARALLEL:-$([ "$DEVICE" = cuda ] && echo 1 || echo 0)}
OUT=${OUT:-$PWD/.gpu_kit/out} WORK=${WORK:-${TMPDIR:-/tmp}/gpu_kit_work}
kit=$(cd "$(dirname "$0")" && pwd) root=$PWD
mkdir -p "$OUT" "$WORK/logs" "$WORK/json"
OUT=$(cd "$OUT" && pwd) WORK=$(cd "$WORK" && pwd)
rm -f "$WORK"/json/*.json "$WORK"/logs/*.log
export DEVICE SCALE OUT WORK KIT=$kit PYTHONUNBUFFERED=1 TXM2SEM_DEVICE=$DEVICE
export TORCHINDUCTOR_CACHE_DIR=$WORK/inductor HYPOTHESIS_STORAGE_DIRECTORY=$WORK/hypothesis MPLCONFIGDIR=$WORK/mpl
[ "$DEVICE" = cpu ] && export CUDA_VISIBLE_DEVICES=
threads=$([ "$SCALE" = tiny ] && echo 2 || echo 8)
left() { echo $((LIMIT_S - ($(date +%s) - begun))); }
wanted() { case " $ONLY " in *" $1 "*) return 0 ;; *) return 1 ;; esac; }

# packages that this Python lacks, in a folder of their own; the project is used as it lies here, with a version for
# those who ask
site=$WORK/site
if [ ! -e "$site/done" ]; then
  "$PYTHON" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --upgrade --target "$site" "$kit"/whl/*.whl \
    > "$WORK/logs/install.log" 2>&1 && touch "$site/done" || { cat "$WORK/logs/install.log"; echo "install failed"; }
  version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' txm2sem_core/__init__.py)
  mkdir -p "$site/txm2sem-${version:-0}.dist-info" "$WORK/bin" "$WORK/stub"
  printf 'Metadata-Version: 2.1\nName: txm2sem\nVersion: %s\n' "${version:-0}" > "$site/txm2sem-${version:-0}.dist-info/METADATA"
  printf '#!/bin/sh\nexec "%s" "$@"\n' "$(command -v "$PYTHON")" > "$WORK/bin/python"
  printf '#!/bin/sh\nexec "%s" -m txm2sem_core "$@"\n' "$(command -v "$PYTHON")" > "$WORK/bin/txm2sem"
  chmod +x "$WORK"/bin/*
  "$PYTHON" -m compileall -q -j 0 "$site" > /dev/null 2>&1  # else each of some eighty processes would
  echo '"""Registration needs the real one: here only what `register.transform: none` imports."""' > "$WORK/stub/SimpleITK.py"
fi
export PYTHONPATH=$root:$site${EXTRA:+:$EXTRA} PATH=$WORK/bin:$PATH

# part NAME SECONDS LEAST COMMAND...: run with what time is left, at most SECONDS; not at all with less than LEAST
part() {
  local name=$1 most=$2 least=$3; shift 3
  local rest=$(left)
  if [ "$rest" -lt "$least" ]; then
    echo "== $name: skipped, $rest s are left and it needs $least" | tee -a "$WORK/logs/$name.log"
    echo "{\"status\": \"skipped\", \"seconds\": 0}" > "$WORK/json/$name.status.json"
    return 0
  fi
  [ "$rest" -lt "$most" ] && most=$rest
  local start=$(date +%s)
  PART_ENDS=$((start + most)) timeout -k 5 "$most" "$@" > "$WORK/logs/$name.log" 2>&1
  local code=$? took=$(($(date +%s) - start)) word=ok
  [ $code -eq 124 ] || [ $code -eq 137 ] && word=timeout
  [ $code -ne 0 ] && [ $word = ok ] && word="failed($code)"
  echo "{\"status\": \"$word\", \"seconds\": $took}" > "$WORK/json/$name.status.json"
  echo "== $name: $word, $took s, $(left) s left"
  [ "$word" = ok ] || tail -n 6 "$WORK/logs/$name.log"
}
collect() { "$PYTHON" "$kit/table.py" > "$WORK/table.txt" 2> "$WORK/logs/table.log"; cp "$WORK/table.txt" "$OUT/table.txt"
  for log in "$WORK"/logs/*.log; do echo "######## $(basename "$log")"; tail -c 1500000 "$log"; done > "$OUT/log.txt"; }
beside() { if [ "$PARALLEL" = 1 ]; then "$@" & else "$@"; fi; }
run_tests() {
  local workers=$1
  "$PYTHON" -m pytest -q -p no:cacheprovider -o addopts= -n "$workers" --timeout=100 -rfE --junitxml="$WORK/tests_gpu.xml" \
    tests/unit/training/test_training_options.py::test_half_precision_on_a_gpu \
    tests/unit/inference/test_inference.py::test_a_gpu_predicts_nearly_the_same tests/unit/inference/test_inference.py::test_devices \
    tests/unit/runtime/test_device.py tests/unit/runtime/test_gpu_leases.py tests/unit/training/test_gpu_path.py
  local first=$?
  # the same machine has a GPU now: do tests that leave the device to chance still hold?
  [ "$SCALE" = tiny ] && more="tests/unit/inference/test_parallel.py" || \
    more="tests/unit/training/test_training.py tests/unit/training/test_training_options.py tests/unit/training/test_resume.py tests/unit/inference/test_inference.py
      tests/unit/acceleration/test_adam.py tests/unit/families/test_side_tasks.py tests/unit/inference/test_uncertainty_prediction.py tests/unit/inference/test_volume_units.py
      tests/unit/training/test_z_penalty.py tests/unit/commands/test_doctor.py tests/unit/training/test_losses.py tests/unit/acceleration/test_prelu.py"
  "$PYTHON" -m pytest -q -p no:cacheprovider -o addopts= -n "$workers" --timeout=100 -rfE -m 'not slow' \
    --junitxml="$WORK/tests_more.xml" $more || true
  return $first
}
road() {  # the whole workflow on a tiny phantom whose pairs need no registration
  rm -rf "$WORK/road" && mkdir -p "$WORK/road/labels"
  cp -r Snakefile workflow txm2sem_core profiles envs "$WORK/road/"
  "$PYTHON" "$kit/road.py" "$WORK/road" || return 1
  cd "$WORK/road" && PYTHONPATH=$WORK/road:$site:$WORK/stub "$PYTHON" -m snakemake --configfile config.yaml \
    --cores "$([ "$SCALE" = tiny ] && echo 2 || echo 12)" --resources gpu=1 --scheduler greedy
}
export -f run_tests road; export PYTHON kit site

echo "TXM2SEM on $DEVICE, scale $SCALE, at most $LIMIT_S s; $(left) s left after the set-up"
wanted a && part a_machine 60 20 "$PYTHON" "$kit/machine.py"
if wanted f; then beside part prepare_volume 120 20 "$PYTHON" "$kit/volume.py" --prepare; fi
# these compare results, not times, and run beside each other where there are cores
if wanted b; then beside part b_tests 110 20 bash -c "run_tests $([ "$SCALE" = tiny ] && echo 2 || echo 6)"; fi
if wanted c; then
  beside part c_families $([ "$SCALE" = tiny ] && echo 400 || echo 110) 20 "$PYTHON" "$kit/families.py"
  beside part c_resume $([ "$SCALE" = tiny ] && echo 400 || echo 110) 20 "$PYTHON" "$kit/resume.py"
  beside part c_volume $([ "$SCALE" = tiny ] && echo 400 || echo 110) 20 "$PYTHON" "$kit/equal_volumes.py"
fi
if wanted q; then
  for store in $(cd "$kit/stores" 2>/dev/null && ls -- *.tar.xz); do
    [ -d "$kit/stores/${store%.tar.xz}" ] || tar -C "$kit/stores" -xf "$kit/stores/$store"
    beside part "q_${store%.tar.xz}" 100 20 "$PYTHON" "$kit/quality.py" "${store%.tar.xz}"
  done
  beside part q_curve 100 20 "$PYTHON" "$kit/quality.py" curve
fi
if wanted g; then beside part g_workflow $([ "$SCALE" = tiny ] && echo 400 || echo 110) 40 bash -c road; fi
wait
collect
# these measure, and run alone
wanted h && part h_steps 75 20 "$PYTHON" "$kit/steps.py" --threads $threads
collect
wanted f && part f_volume 60 25 "$PYTHON" "$kit/volume.py" --threads $threads
collect
wanted e && part e_training 105 40 "$PYTHON" "$kit/training.py" --threads $threads
collect
wanted d && part d_benchmarks $((LIMIT_S > 900 ? LIMIT_S : 330)) 40 "$PYTHON" "$kit/bench.py" --threads $threads
collect
echo; echo "whole script: $(($(date +%s) - begun)) s of $LIMIT_S"
cat "$OUT/table.txt"

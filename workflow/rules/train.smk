# Train each variant with each seed. The state of a killed training is beside its outputs, and the training resumes from
# it. At a job's time limit SLURM sends SIGTERM to all of its processes, and the job is over as soon as its shell has
# ended: so the shell waits for the training, which saves its state, and tee logs its last messages.


rule train_model:
    input:
        description=lambda w: f"{FILES[w.sample].store_of(w.variant)}/store.json",
        kept=lambda w: kept_in(FILES[w.sample].store_of(w.variant)),
        volume=lambda w: training_volume(w.sample, w.variant),
        start=lambda w: starting_model(w.variant),
    output:
        weights="<results>/{sample}/models/{variant}/seed{seed}/generator.safetensors",
        model="<results>/{sample}/models/{variant}/seed{seed}/model.json",
        history="<results>/{sample}/models/{variant}/seed{seed}/history.csv",
        best="<results>/{sample}/models/{variant}/seed{seed}/best.safetensors",
        last="<results>/{sample}/models/{variant}/seed{seed}/last.safetensors",
    log:
        "<logs>/{sample}/train_model/{variant}_seed{seed}.log",
    benchmark:
        "<benchmarks>/{sample}/train_model/{variant}_seed{seed}.tsv"
    wildcard_constraints:
        variant="|".join(v for v in CONFIG.variants if v not in BASELINES) or NOTHING,
    conda:
        "../../envs/torch.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=memory_of("train_model"),
        runtime=minutes_of("train_model"),
    params:
        code=lambda w: command_code("train"),
        settings=lambda w: settings(CONFIGS[w.sample].variant(w.variant)),
        patches=lambda w, input: folder_of(input.description),
        model=lambda w, output: folder_of(output.model),
        volume=lambda w: FILES[w.sample].training_options(w.variant),
        raw_digest=lambda w: volume_digest(w.sample) if FILES[w.sample].draws_from_volume(w.variant) else "",
        init_from=lambda w: starting_digest(w.variant),
    shell:
        "trap : TERM; "
        "python -m txm2sem_core train --patches {params.patches:q} --settings {params.settings:q} --seed {wildcards.seed}"
        " --name {wildcards.sample}/{wildcards.variant}/seed{wildcards.seed} --output {params.model:q}"
        " --overwrite {params.volume} --threads {threads} 2>&1 | (trap '' TERM; exec tee {log:q}) >&2"
        f"{KEEP_RECORD}"


# Seconds on a CPU, so that no baseline waits for a GPU.
use rule train_model as fit_baseline with:
    log:
        "<logs>/{sample}/fit_baseline/{variant}_seed{seed}.log",
    benchmark:
        "<benchmarks>/{sample}/fit_baseline/{variant}_seed{seed}.tsv"
    wildcard_constraints:
        variant="|".join(BASELINES) or NOTHING,
    threads: 1
    resources:
        mem_mb=memory_of("fit_baseline"),
        runtime=minutes_of("fit_baseline"),

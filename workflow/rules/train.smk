# Train each variant with each seed. The state of a training that was killed lies beside its outputs, and it goes on
# from there. A `shell:` rule: a script that is merely touched must not cost a training.


rule train_model:
    input:
        description=lambda w: patches_folder(w.sample, w.variant) + "/store.json",
        store=lambda w: patches_folder(w.sample, w.variant) + "/store.safetensors",
        code=core("training", "networks", "losses", "zpenalty", "intensity"),
    output:
        weights=RESULTS + "/{sample}/models/{variant}/seed{seed}/generator.safetensors",
        model=RESULTS + "/{sample}/models/{variant}/seed{seed}/model.json",
        history=RESULTS + "/{sample}/models/{variant}/seed{seed}/history.csv",
        best=RESULTS + "/{sample}/models/{variant}/seed{seed}/best.safetensors",
        last=RESULTS + "/{sample}/models/{variant}/seed{seed}/last.safetensors",
    log:
        RESULTS + "/logs/{sample}/train_model/{variant}_seed{seed}.log",
    benchmark:
        RESULTS + "/benchmarks/{sample}/train_model/{variant}_seed{seed}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 8
    resources:
        gpu=lambda w: 0 if CONFIG.variant(w.variant).family == "baseline" else 1,
        mem_mb=16000,
        runtime=1440,
    params:
        settings=lambda w: settings(CONFIG.variant(w.variant)),
        patches=lambda w: patches_folder(w.sample, w.variant),
        model=RESULTS + "/{sample}/models/{variant}/seed{seed}",
    shell:
        "python -m txm2sem_core train --patches {params.patches:q} --settings {params.settings:q} --seed {wildcards.seed}"
        " --name {wildcards.sample}/{wildcards.variant}/seed{wildcards.seed} --output {params.model:q}"
        " --threads {threads} 2>&1 | tee {log:q} >&2"

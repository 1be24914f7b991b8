# Coarser TXM patches and volumes, for super-resolution.


rule downsample_patches:
    input:
        description="<results>/{sample}/patches/store.json",
        store=ancient("<results>/{sample}/patches/store.safetensors"),
        index=ancient("<results>/{sample}/patches/index.csv"),
    output:
        store="<results>/{sample}/patches_x{factor}/store.safetensors",
        index="<results>/{sample}/patches_x{factor}/index.csv",
        description="<results>/{sample}/patches_x{factor}/store.json",
    log:
        "<logs>/{sample}/downsample_patches_x{factor}.log",
    benchmark:
        "<benchmarks>/{sample}/downsample_patches_x{factor}.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=memory_of("downsample_patches"),
        runtime=minutes_of("downsample_patches"),
    params:
        **run_script(
            "downsample_patches",
            settings=lambda w: settings(FILES[w.sample].downsampling(int(w.factor))),
        ),
    shell:
        RUN_SCRIPT


rule downsample_volume:
    input:
        description="<results>/{sample}/patches/store.json",
        kept=lambda w: kept_in(f"{RESULTS}/{w.sample}/patches"),
        raw=lambda w: raw_volume(w.sample),
    output:
        volume=directory("<results>/{sample}/patches_x{factor}/txm_volume.ome.zarr"),
        digest="<results>/{sample}/patches_x{factor}/txm_volume.digest",
    log:
        "<logs>/{sample}/downsample_volume_x{factor}.log",
    benchmark:
        "<benchmarks>/{sample}/downsample_volume_x{factor}.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=memory_of("downsample_volume"),
        runtime=minutes_of("downsample_volume"),
    params:
        **run_script(
            "downsample_volume",
            settings=lambda w: settings(FILES[w.sample].downsampling(int(w.factor))),
            sample=lambda w: FILES[w.sample].row(),
            raw_digest=lambda w: volume_digest(w.sample),
        ),
    shell:
        RUN_SCRIPT

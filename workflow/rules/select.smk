rule select:
    """Play every candidate checkpoint on held-out episodes and choose the best."""
    input:
        ".stage/select-{experiment}-{seed}.txt",
        "results/{experiment}/config/selection.json",
        "results/{experiment}/seed{seed}/checkpoints",
    output:
        "results/{experiment}/seed{seed}/selection.json",
        "results/{experiment}/seed{seed}/best.pth",
        "results/{experiment}/seed{seed}/stages/select.json",
    log:
        "logs/select-{experiment}-{seed}.log",
    conda:
        "../envs/dexhand.yaml"
    threads: share_of_cores
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        stages="select-{experiment}-{seed}",
        why=explain(REASONS, "select-{experiment}-{seed}"),
    message:
        "Selecting the best checkpoint of {wildcards.experiment}, seed {wildcards.seed} ({params.why})"
    shell:
        REPRODUCE

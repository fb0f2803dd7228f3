rule evaluate:
    """Play the chosen checkpoint on fresh episodes, under every condition of the config."""
    input:
        ".stage/evaluate-{experiment}-{seed}.txt",
        "results/{experiment}/config/evaluation.json",
        "results/{experiment}/seed{seed}/selection.json",
        "results/{experiment}/seed{seed}/best.pth",
    output:
        "results/{experiment}/seed{seed}/evaluation.json",
        "results/{experiment}/seed{seed}/episodes.parquet",
        "results/{experiment}/seed{seed}/replays.npz",
        "results/{experiment}/seed{seed}/stages/evaluate.json",
    log:
        "logs/evaluate-{experiment}-{seed}.log",
    conda:
        "../envs/dexhand.yaml"
    threads: share_of_cores
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        stages="evaluate-{experiment}-{seed}",
        why=explain(REASONS, "evaluate-{experiment}-{seed}"),
    message:
        "Evaluating {wildcards.experiment}, seed {wildcards.seed} ({params.why})"
    shell:
        REPRODUCE

rule compare:
    """Put all experiments side by side on one page. Not DVC's: it is a second's work on files that DVC keeps."""
    input:
        expand("results/{experiment}/config/report.json", experiment=SEEDS),
        expand("results/{experiment}/evaluation.json", experiment=SEEDS),
        [f"results/{name}/seed{seed}/history.csv" for name, seeds in SEEDS.items() for seed in seeds],
    output:
        "results/comparison.html",
    log:
        "logs/compare.log",
    localrule: True
    conda:
        "../envs/dexhand.yaml"
    params:
        experiments=list(SEEDS),
    message:
        "Comparing {params.experiments}"
    shell:
        "python -m dexhand_env.stages.compare {params.experiments} 2>&1 | tee {log}"

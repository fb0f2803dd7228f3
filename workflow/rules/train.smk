rule train:
    """Train one policy; a run that was killed goes on from its last checkpoint."""
    input:
        ".stage/train-{experiment}-{seed}.txt",
        "results/{experiment}/config/train.json",
    output:
        directory("results/{experiment}/seed{seed}/checkpoints"),
        "results/{experiment}/seed{seed}/history.csv",
        "results/{experiment}/seed{seed}/stages/train.json",
    log:
        "logs/train-{experiment}-{seed}.log",
    conda:
        "../envs/dexhand.yaml"
    threads: share_of_cores
    resources:
        gpu=gpus_of_training,
        mem_mb=4000,
        runtime=720,
    params:
        stages="train-{experiment}-{seed}",
        why=explain(REASONS, "train-{experiment}-{seed}"),
    message:
        "Training {wildcards.experiment}, seed {wildcards.seed} ({params.why})"
    shell:
        TRAIN_ON_GPUS

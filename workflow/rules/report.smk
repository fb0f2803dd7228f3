rule report:
    """Join the seeds, write one page about the experiment, and fail where the last check does: the page stays all the same."""
    input:
        ".stage/report-{experiment}.txt",
        ".stage/check-{experiment}.txt",
        "results/{experiment}/config/report.json",
        of_every_seed(
            "results/{experiment}/seed{seed}/history.csv",
            "results/{experiment}/seed{seed}/selection.json",
            "results/{experiment}/seed{seed}/evaluation.json",
            "results/{experiment}/seed{seed}/episodes.parquet",
            "results/{experiment}/seed{seed}/replays.npz",
            "results/{experiment}/seed{seed}/stages/train.json",
            "results/{experiment}/seed{seed}/stages/select.json",
            "results/{experiment}/seed{seed}/stages/evaluate.json",
        ),
    output:
        "results/{experiment}/report.html",
        "results/{experiment}/evaluation.json",
        "results/{experiment}/stages/report.json",
        "results/{experiment}/checked.json",
    log:
        "logs/report-{experiment}.log",
    conda:
        "../envs/dexhand.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        stages="report-{experiment} check-{experiment}",
        why=explain(REASONS, "report-{experiment}", "check-{experiment}"),
    message:
        "Writing the report of {wildcards.experiment} ({params.why})"
    shell:
        REPRODUCE

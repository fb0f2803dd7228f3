rule validate:
    """Check one section of an experiment's config and write it out complete; a second's work, so no job on a cluster."""
    input:
        ".stage/validate-{experiment}-{section}.txt",
    output:
        "results/{experiment}/config/{section}.json",
    log:
        "logs/validate-{experiment}-{section}.log",
    localrule: True
    conda:
        "../envs/dexhand.yaml"
    params:
        stages="plan validate-{experiment}-{section}",
        why=explain(REASONS, "validate-{experiment}-{section}"),
    message:
        "Checking {wildcards.section} of {wildcards.experiment} ({params.why})"
    shell:
        REPRODUCE

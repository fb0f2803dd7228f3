rule validate:
    """Check one section of an experiment's config and write it out complete."""
    input:
        ".stage/validate-{experiment}-{section}.txt",
    output:
        "results/{experiment}/config/{section}.json",
    log:
        "logs/validate-{experiment}-{section}.log",
    conda:
        "../envs/dexhand.yaml"
    params:
        stages="plan validate-{experiment}-{section}",
    message:
        "Checking {wildcards.section} of {wildcards.experiment}"
    shell:
        REPRODUCE

"""Everything from a config to a report: `snakemake --cores 1 results/BaseTask/report.html`. docs/pipeline.md explains."""

from snakemake.utils import min_version

min_version("9.0")


include: "workflow/rules/common.smk"


rule all:
    default_target: True
    input:
        expand("results/{experiment}/report.html", experiment=SEEDS),


include: "workflow/rules/validate.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/select.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/compare.smk"

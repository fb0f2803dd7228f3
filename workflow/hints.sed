# Lines that DVC prints after every stage and that help nobody in the middle of a run (docs/pipeline.md says what to commit and push).
/^$/d
/^Updating lock file /d
/^Generating lock file /d
/^To track the changes with git, run:$/d
/^	git add dvc.lock$/d
/^To enable auto staging, run:$/d
/^	dvc config core.autostage true$/d
/^Use `dvc push` to send your updates to remote storage\.$/d
/^WARNING: '.*__init__\.py' is empty\.$/d

"""`python -m lineage_pipeline` is `lineage`."""

from lineage_pipeline.cli import main

main()

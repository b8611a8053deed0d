"""The Flink job. The only package that imports pyflink, and only when a job is built or run."""

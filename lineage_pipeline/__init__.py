"""Exactly-once movement of Kafka topics into Parquet, and the proof that nothing was lost.

Map of the package (docs/architecture.md draws it):

- `core`: pure values and decisions: offset ranges, index rows, coverage, the audit and its report.
- `books`: the outside world in, core values out: offset index files, Kafka's offsets, object stores.
- `flink`: the PyFlink job; the only importer of pyflink.
- `local`: the embedded stack: broker from jars, producer, demo.
- `settings`, `errors`, `cli`: what every entry point needs.
"""

__version__ = "0.1.0"

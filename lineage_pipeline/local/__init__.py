"""The embedded stack: a real Kafka broker from jars, a producer and the demo, with nothing left running behind."""

"""A seeded model of broker, writer and auditor with faults at every step, and the truth to judge the auditor by."""

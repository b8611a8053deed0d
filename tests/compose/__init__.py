"""The compose stack, brought up and broken: `make compose-test`. Not collected by pytest."""

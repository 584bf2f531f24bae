"""The parts of bench.py: what is measured, how, and how it is reported."""

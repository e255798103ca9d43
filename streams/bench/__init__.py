"""Benchmarks: figures that anyone can make again with one command."""

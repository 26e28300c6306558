"""Benchmarks that are not beside the code: other engines (bench.peers), revisions (bench.compare).

`./dev bench` runs them as modules from the top of the tree, with nothing but the standard library;
what else they need they install into environments of their own.
"""

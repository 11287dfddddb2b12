#!/usr/bin/env python3
"""Our own stories, for rules that the oracle's do not cover, in its words and by its runner:

    CALLBOARD_ORACLE=DIR own.py check HOST:PORT [--suite max-size] [--only NAME,...]
    CALLBOARD_ORACLE=DIR own.py record HOST:PORT --out DIR      from a real Apache Kafka 4.2.0 only

Their transcripts lie in testdata/kafka-4.2.0/stories/own, whose `.json` the tests of the Rust crates play.
"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.dirname(os.path.dirname(HERE))
ORACLE = os.environ.get("CALLBOARD_ORACLE") or os.path.join(REPOSITORY, "..", "shared", "oracle")
RECORDED = os.path.join(REPOSITORY, "testdata", "kafka-4.2.0", "stories", "own")
sys.dont_write_bytecode = True
sys.path[:0] = [HERE, ORACLE]

import oracle  # noqa: E402

if __name__ == "__main__":
    modules = sorted(name[:-3] for name in os.listdir(HERE) if name.startswith("scenarios_") and name.endswith(".py"))
    sys.exit(oracle.main(modules, RECORDED))

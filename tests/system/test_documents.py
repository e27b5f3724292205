"""Validation and coercion of GraphQL documents: writ says of each document of tests/graphql what graphql-js says of it.

tests/graphql/corpus is of a schema with something of everything; tests/graphql/model of what writ makes of a data model.
"""
import glob
import json
import os
import subprocess
import sys

import pytest

import harness

HERE = os.path.join(harness.SOURCE, "tests", "graphql")
SCHEMA = os.path.join(HERE, "schema.graphql")

# Errors whose number or place the specification leaves open: only that there is one is compared. Where the parser gives up;
# which pairs of a set of fields are told of.
PLACE_OPEN = {"Syntax", "OverlappingFieldsCanBeMerged"}
MOST_ERRORS = 50  # writ tells of no more


def verdict():
    """Made by make check; here as well, as the system tests may run alone."""
    program = harness.BUILD / "tests/graphql/verdict"
    if not program.exists():
        subprocess.run(["make", "-C", harness.BUILD, "tests/graphql/verdict"], check=True, capture_output=True, timeout=300)
    return program


def lines(program, schema, files, **more):
    done = subprocess.run([*program, schema, *files], capture_output=True, text=True, timeout=120, **more)
    return [json.loads(line) for line in done.stdout.splitlines()], done


def told(errors):
    fixed = sorted((rule, sorted(map(tuple, places))) for rule, places in errors if rule not in PLACE_OPEN)
    return fixed, {rule for rule, _ in errors if rule in PLACE_OPEN}


def compare(schema, files, manifest=None, role=None):
    """With a manifest, writ's schema is made of that, as the role sees it; schema is what writ has printed of it."""
    words = [f"--role={role}"] if role else []
    ours, done = lines([verdict(), *words], manifest or schema, files)
    theirs, js = lines(["node", os.path.join(harness.SOURCE, "tests/js/verdict.js")], schema, files,
                       env={**os.environ, "WRIT_NODE_MODULES": harness.node_modules()})
    assert js.returncode == 0, js.stderr
    assert [v["case"] for v in ours] == [v["case"] for v in theirs], done.stderr
    differ = [(a, b) for a, b in zip(ours, theirs)
              if len(a["errors"]) <= MOST_ERRORS and told(a["errors"]) != told(b["errors"])
              or any(a.get(k) != b.get(k) for k in ("variables", "arguments", "refused"))]
    assert not differ, "\n".join(f"writ:       {a}\ngraphql-js: {b}" for a, b in differ)
    return ours, done


def test_corpus_is_judged_as_graphql_js_does():
    ours, done = compare(SCHEMA, sorted(glob.glob(os.path.join(HERE, "corpus", "*.graphql"))))
    assert done.returncode == 0, done.stderr
    assert len(ours) >= 300
    assert sum(not v["errors"] for v in ours) >= 100


@pytest.mark.parametrize("role", [None, "admin", "clerk"])
def test_model_is_judged_as_graphql_js_does(tmp_path, role):
    manifest = os.path.join(HERE, "model", "manifest.yaml")
    (tmp_path / "writ.yaml").write_text(f"manifest: {manifest}\ndatasources: {{main: 'dbname=none'}}\n", encoding="utf-8")
    printed = subprocess.run([harness.BUILD / "writ", "-c", tmp_path / "writ.yaml", "schema", "print",
                              *(["--role", role] if role else [])], capture_output=True, text=True, timeout=60, check=True)
    (tmp_path / "schema.graphql").write_text(printed.stdout, encoding="utf-8")
    ours, done = compare(tmp_path / "schema.graphql", [os.path.join(HERE, "model", "documents.graphql")], manifest, role)
    assert len(ours) >= 30
    assert role == "admin" or done.returncode == 0, done.stderr


def test_random_documents_are_judged_as_graphql_js_does(tmp_path):
    made = subprocess.run([sys.executable, os.path.join(HERE, "random_documents.py"), "1", "500"], capture_output=True,
                          text=True, timeout=60, check=True)
    (tmp_path / "random.graphql").write_text(made.stdout, encoding="utf-8")
    ours, _ = compare(SCHEMA, [tmp_path / "random.graphql"])
    assert sum(not v["errors"] for v in ours) >= 100
    assert len({rule for v in ours for rule, _ in v["errors"]}) >= 15

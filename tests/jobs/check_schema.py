#!/usr/bin/python3
"""Holds jobs/job.schema.json against job files that are known to be good or bad, with a validator that is not ours.

usage: check_schema.py SCHEMA GENERATED JOBS_DIR VALID_DIR INVALID_DIR

GENERATED is the program that prints the schema; what it prints must be SCHEMA byte for byte. Every job file in JOBS_DIR
and VALID_DIR must pass. Every one in INVALID_DIR that is JSON at all must be refused, but for those whose .expect has
the line "# beyond the schema": they must pass, or the line is out of date. Exit code 77: there is no validator here.
"""
import json
import pathlib
import subprocess
import sys

try:
    import jsonschema
except ImportError:
    print("skipped: python3-jsonschema is not installed")
    sys.exit(77)

BEYOND = "# beyond the schema"


def job_files(folder):
    return [p for p in sorted(pathlib.Path(folder).glob("*.json")) if not p.name.endswith(".schema.json")]


def main():
    schema_path, generator, jobs_dir, valid_dir, invalid_dir = sys.argv[1:]
    bad = []
    text = pathlib.Path(schema_path).read_bytes()
    if subprocess.run([generator], stdout=subprocess.PIPE, check=True).stdout != text:
        bad.append(f"{schema_path} is not what {generator} prints; write it anew with: {generator} > {schema_path}")
    schema = json.loads(text)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)

    good = job_files(jobs_dir) + job_files(valid_dir)
    for path in good:
        for error in validator.iter_errors(json.loads(path.read_bytes())):
            bad.append(f"{path}: refused: {error.json_path}: {error.message}")

    refused = beyond = 0
    for path in job_files(invalid_dir):
        try:
            job = json.loads(path.read_bytes())
        except (ValueError, RecursionError):
            continue
        expect = path.with_suffix(".expect")
        is_beyond = expect.exists() and BEYOND in expect.read_text().splitlines()
        accepted = validator.is_valid(job)
        refused += not accepted
        beyond += accepted
        if path.name.endswith(".part.json"):
            continue
        if accepted and not is_beyond:
            bad.append(f"{path}: accepted")
        elif not accepted and is_beyond:
            bad.append(f'{path}: refused, although its .expect says "{BEYOND}"')

    print(f"{len(good)} good files passed; of the bad ones {refused} were refused, {beyond} are beyond a schema")
    for line in bad:
        print(line)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""usage: check_abort.py <program> <message>

Runs the program, which must end by SIGABRT after it has printed the message, and nothing else, to standard error.
"""
import signal
import subprocess
import sys


def main():
    program, message = sys.argv[1:]
    run = subprocess.run([program], text=True, capture_output=True, check=False)
    print(f"exit code {run.returncode}, standard error: {run.stderr.strip()}")
    sys.exit(run.returncode != -signal.SIGABRT or run.stderr != message + "\n" or run.stdout != "")


main()

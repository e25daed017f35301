"""docs_commands.py pages: which pages' commands are run, a line each; complains of a page whose commands no test runs.
docs_commands.py commands PAGE FOLDER: a file for each command of the page, in order; one may be several lines long.

A fenced block without a language is of commands, or shows a session: there commands begin with `$ `, and what they print is between. A block with a language (```text,
```c) is not looked at: an illustration."""
import glob, os, re, subprocess, sys

# In this order: users.md asks everybody for a password in the end.
RUN = ["README.md", "docs/newcomer.md", "docs/import.md", "docs/upgrade.md", "docs/security.md", "docs/operations.md", "docs/growing.md", "docs/etcd.md", "docs/users.md"]
BY_OTHERS = {"docs/http-api.md": "test_http_api.sh", "docs/examples.md": "test_http_api.sh", "docs/backup.md": "test_backup.sh"}
NEW_CLUSTER = "quorate backup restore /backups/bank"  # of operations.md; test_backup.sh runs that section in a new cluster
COMMAND = re.compile(r"^(\$ )?(quorate|build/quorate|curl|make|export|echo|printf|v3|sh|sudo|systemctl|docker|kubectl)\b", re.M)


def blocks(page):
    found = re.findall(r"^```(\w*)\n(.*?)^```$", open(page).read(), re.S | re.M)
    return [body for language, body in found if language == "" and COMMAND.search(body)]


if sys.argv[1] == "pages":
    for page in ["README.md"] + sorted(glob.glob("docs/*.md")):
        if blocks(page) and page not in RUN and page not in BY_OTHERS:
            sys.exit(page + ": no test runs its commands: add it to docs_commands.py, or mark the block as ```text")
    print("\n".join(RUN))
    sys.exit(0)

page, folder = sys.argv[2:]
number, command = 0, ""
for block in blocks(page):
    session = re.search(r"^\$ ", block, re.M) is not None
    for line in block.splitlines(True):
        if session and not line.startswith("$ "): continue
        if line.startswith(("make ", NEW_CLUSTER)): continue
        command += line.removeprefix("$ ")
        if subprocess.run(["sh", "-n", "-c", command], capture_output=True).returncode != 0: continue
        number += 1
        open("%s/%03d" % (folder, number), "w").write(command)
        command = ""
sys.exit(command != "" or number == 0)

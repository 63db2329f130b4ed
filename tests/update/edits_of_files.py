"""What owners do to documents, settings and deployments, and which files they delete and add."""

import re

from owner import WORDS, Owner


def edit_readme(owner: Owner) -> bool:
    """Insert, delete and reorder paragraphs of the README."""

    def edited(text: str) -> str:
        paragraphs = text.split("\n\n")
        paragraphs.insert(owner.random.randrange(len(paragraphs) + 1), owner.note())
        del paragraphs[owner.random.randrange(len(paragraphs))]
        owner.random.shuffle(paragraphs)
        return "\n\n".join(paragraphs)

    return owner.change("README.md", edited)


def configure_service(owner: Owner) -> bool:
    """Change settings and the rules of tools, in the files for them."""
    level = owner.random.choice(["debug", "info", "warning"])
    name = owner.random.choice(
        ["config/service.yaml", "config/service.production.yaml", "mypy.ini", "ruff.toml"]
    )
    if name.endswith(".production.yaml"):
        return owner.write(name, f"# {owner.note()}\nlogging:\n  level: {level}\n")
    return owner.change(name, lambda text: f"{text}# {owner.note()}\n")


def edit_overlay(owner: Owner) -> bool:
    """Change how a deployment differs in production, and add a resource to it."""
    folder = "deploy/kubernetes/overlays/production"
    if not owner.path(folder).exists():
        return False
    owner.write(f"{folder}/service.ingress.yaml", f"# {owner.note()}\n")
    return owner.change(
        f"{folder}/kustomization.yaml",
        lambda text: (
            re.sub('newTag: ".*"', f'newTag: "{owner.random.randint(1, 9)}.0.0"', text)
            + f"# {owner.note()}\n"
        ),
    )


def ignore_files(owner: Owner) -> bool:
    """Add entries to .gitignore, at its end or its beginning."""
    entry = f"/{owner.random.choice(WORDS)}-{owner.random.randrange(10**6)}/\n"
    at_end = owner.random.random() < 0.8
    return owner.change(".gitignore", lambda text: text + entry if at_end else entry + text)


def delete_files_of_the_template(owner: Owner) -> bool:
    """Delete files that the template owns: CI, the image, a policy."""
    names = [".github", ".gitlab-ci.yml", "SECURITY.md", "Dockerfile", "compose.yaml", ".env.example"]
    return owner.delete(owner.random.choice(names))


def delete_own_files(owner: Owner) -> bool:
    """Delete files that were seeded."""
    return owner.delete(owner.random.choice(["README.md", "mypy.ini", "ruff.toml", "config/service.yaml"]))


def add_files(owner: Owner) -> bool:
    """Put files of the owner's own everywhere, also between those of the template."""
    names = [
        "service.mk",
        "compose.override.yaml",
        "docs/runbook.md",
        "chassis/NOTES.md",
        "deploy/kubernetes/base/notes.txt",
        ".github/workflows/service.yml",
        ".gitlab/service.yml",
        "migrations/versions/notes.txt",
        f"scripts/{owner.random.choice(WORDS)}.sh",
    ]
    return owner.write(owner.random.choice(names), f"# {owner.note()}\n")

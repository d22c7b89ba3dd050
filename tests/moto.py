"""moto's S3 server as the independent other side of tests, in a process of its own, looked into with boto3.
It must not import scanpost.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.peers import HOST, free_port, wait_until_listening

needs_moto = pytest.mark.skipif(
    find_spec("moto") is None or find_spec("obstore") is None, reason="moto or obstore is missing (pip install .[test])"
)
KEY, SECRET = "AKIAFORTESTS", "notSecretAtAll1234567890"
START_S = 60.0


class S3Server:
    """Listening when the constructor returns; with `ssl` (certificate, key, authority) over TLS. It keeps everything in memory."""

    def __init__(self, ssl: tuple[Path, Path, Path] | None = None) -> None:
        self.port = free_port()
        secure = [] if ssl is None else ["--ssl-cert", str(ssl[0]), "--ssl-key", str(ssl[1])]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(self.port), *secure],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            wait_until_listening(self.port, self._process, START_S)
        except BaseException:
            self.close()
            raise
        import boto3
        from botocore.config import Config

        self._buckets = itertools.count(1)
        self.client: Any = boto3.client(
            "s3", endpoint_url=f"http{'s' if ssl else ''}://{HOST}:{self.port}", aws_access_key_id=KEY,
            aws_secret_access_key=SECRET, region_name="us-east-1", verify=str(ssl[2]) if ssl else None, config=Config(proxies={}),
        )  # fmt: skip

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def bucket(self) -> str:
        """A new, empty one."""
        name = f"images{next(self._buckets)}"
        self.client.create_bucket(Bucket=name)
        return name

    def names(self, bucket: str) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return [one["Key"] for page in pages for one in page.get("Contents", ())]

    def objects(self, bucket: str) -> dict[str, bytes]:
        return {name: self.client.get_object(Bucket=bucket, Key=name)["Body"].read() for name in self.names(bucket)}

    def head(self, bucket: str, name: str) -> Any:
        return self.client.head_object(Bucket=bucket, Key=name)

    def unfinished(self, bucket: str) -> list[Any]:
        """Multipart uploads that were begun and neither finished nor taken back."""
        return list(self.client.list_multipart_uploads(Bucket=bucket).get("Uploads", ()))

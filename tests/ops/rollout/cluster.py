"""A Deployment in small: pods are processes of a rendered service, and a rollout does what Kubernetes documents.

No API server can be had for the tests. This one reads the Deployment and the ConfigMap as `kubectl kustomize` built
them: probes, preStop, grace period, maxSurge 1 and maxUnavailable 0. Each pod has an address of its own on loopback.
https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle, .../controllers/deployment
"""

import asyncio
import itertools
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx2

Manifest = dict[str, Any]
StartPod = Callable[[Path, str, dict[str, str]], subprocess.Popen[bytes]]


class RolledBackError(Exception):
    """The new release did not become ready within the deadline; the old one serves as before."""


class Pod:
    """One process, and what the kubelet knows of it."""

    def __init__(self, release: Path, address: str, process: subprocess.Popen[bytes]) -> None:
        self.release = release
        self.address = address
        self.process = process


class Deployment:
    """Keeps pods of one release, and replaces them by those of another."""

    def __init__(
        self,
        manifests: Sequence[Manifest],
        start_pod: StartPod,
        endpoints_changed: Callable[[list[str]], None],
        variables: dict[str, str],
    ) -> None:
        by_kind = {manifest["kind"]: manifest for manifest in manifests}
        self._spec = by_kind["Deployment"]["spec"]
        self._pod = self._spec["template"]["spec"]
        self._container = self._pod["containers"][0]
        self._variables = by_kind["ConfigMap"]["data"] | variables
        self.replicas = by_kind["HorizontalPodAutoscaler"]["spec"]["minReplicas"]
        self._start_pod = start_pod
        self._endpoints_changed = endpoints_changed
        self._addresses = (f"127.0.1.{number}" for number in itertools.count(1))
        self._ready: list[Pod] = []
        self._stops: list[asyncio.Task[int]] = []
        self.exit_codes: list[int] = []

    async def create(self, release: Path) -> None:
        """Start the first pods, all at once."""
        pods = [self._start(release) for _ in range(self.replicas)]
        for pod in pods:
            await self._become_ready(pod)

    async def roll_out(self, release: Path, deadline: float | None = None) -> None:
        """Replace one pod after the other. Raises `RolledBackError` after ``deadline`` seconds without progress."""
        assert self._spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
        for old in list(self._ready):
            new = self._start(release)
            try:
                async with asyncio.timeout(deadline or self._spec["progressDeadlineSeconds"]):
                    await self._become_ready(new)
            except TimeoutError as error:
                # What `kubectl rollout undo` comes to: no old pod was taken away, the new one goes.
                self._stop(new)
                await self.settle()
                raise RolledBackError from error
            await asyncio.sleep(self._spec["minReadySeconds"])
            self._stop(old)
        await self.settle()

    async def settle(self) -> None:
        """Wait until every pod that goes is gone."""
        self.exit_codes += await asyncio.gather(*self._stops)
        self._stops.clear()

    @property
    def releases(self) -> list[Path]:
        """The releases of the pods that serve."""
        return [pod.release for pod in self._ready]

    def _start(self, release: Path) -> Pod:
        address = next(self._addresses)
        return Pod(release, address, self._start_pod(release, address, self._variables | {"HOST": address}))

    async def _become_ready(self, pod: Pod) -> None:
        await self._pass(pod, "startupProbe")
        await self._pass(pod, "readinessProbe")
        self._ready.append(pod)
        self._publish()

    async def _pass(self, pod: Pod, name: str) -> None:
        probe = self._container[name]
        url = f"http://{pod.address}:{self._variables['PORT']}{probe['httpGet']['path']}"
        async with httpx2.AsyncClient(timeout=probe["timeoutSeconds"]) as client:
            while True:
                try:
                    if (await client.get(url)).is_success:
                        return
                except httpx2.TransportError:
                    pass
                await asyncio.sleep(probe["periodSeconds"])

    def _stop(self, pod: Pod) -> None:
        # The endpoint goes at the time at which the kubelet begins to stop the pod.
        if pod in self._ready:
            self._ready.remove(pod)
            self._publish()
        self._stops.append(asyncio.create_task(self._terminate(pod)))

    async def _terminate(self, pod: Pod) -> int:
        async with asyncio.timeout(self._pod["terminationGracePeriodSeconds"]):
            await asyncio.sleep(self._container["lifecycle"]["preStop"]["sleep"]["seconds"])
            pod.process.send_signal(signal.SIGTERM)
            return await asyncio.to_thread(pod.process.wait)

    def _publish(self) -> None:
        self._endpoints_changed([f"{pod.address}:{self._variables['PORT']}" for pod in self._ready])

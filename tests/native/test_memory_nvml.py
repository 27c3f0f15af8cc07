"""Two GPUs that are not there: the real nvidia-ml-py, over a small library that speaks NVML's ABI."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import pytest

from actorllama.native.memory import MemoryDomain
from actorllama.native.memory_devices import ComputeDevice, match_devices

SOURCE = Path(__file__).parent / "fake_nvml.c"
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
GIB = 1 << 30

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(COMPILER is None, reason="no C compiler"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="NVML's library has another name here"),
]

# nvidia-ml-py asks the loader for libnvidia-ml.so.1, which looks into LD_LIBRARY_PATH as it was when the
# process began: hence a process of its own. Its clock is a number that the test sends.
CHILD = """
import json, sys, attrs
from actorllama.native.memory_nvml import NvmlSource
assert "pynvml" not in sys.modules
now_s = 0.0
source = NvmlSource(reopen_s=30.0, clock=lambda: now_s)
for line in sys.stdin:
    verb, _, rest = line.strip().partition(" ")
    if verb == "close":
        source.close()
    now_s = float(rest or now_s)
    report = source.read()
    print(json.dumps(attrs.asdict(report)), flush=True)
"""


class FakeDriver:
    """The file behind the library, and a process that reads through it."""

    def __init__(self, folder: Path, library: Path) -> None:
        self.file = folder / "gpus.txt"
        self.facts: dict[str, object] = {
            "count": 2,
            "0.total": 80 * GIB,
            "0.free": 70 * GIB,
            "0.uuid": "GPU-aaaa",
            "0.pci": "00000000:C1:00.0",
            "1.total": 24 * GIB,
            "1.free": 6 * GIB,
            "1.uuid": "GPU-bbbb",
            "1.pci": "00000001:41:00.0",
        }
        self.set()
        places = {"LD_LIBRARY_PATH": str(library.parent), "FAKE_NVML_FILE": str(self.file)}
        self.child = subprocess.Popen(
            [sys.executable, "-c", CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **places},
        )

    def set(self, **changes: object) -> None:
        """Change what the driver says; ``gpu1_free=3`` is the line ``1.free 3``; ``None`` takes it away."""
        for key, value in changes.items():
            self.facts[key.removeprefix("gpu").replace("_", ".", 1) if key.startswith("gpu") else key] = value
        lines = [f"{key} {value}\n" for key, value in self.facts.items() if value is not None]
        beside = self.file.with_suffix(".new")
        beside.write_text("".join(lines))
        beside.replace(self.file)

    def read(self, *, now_s: float = 0.0, verb: str = "read") -> tuple[dict[str, float], str]:
        """Read in the other process: the used share of each GPU by name, and what could not be read."""
        report = self.report(now_s=now_s, verb=verb)
        readings = cast("list[dict[str, object]]", report["readings"])
        shares: dict[str, float] = {}
        for reading in readings:
            domain = MemoryDomain(**cast("dict[str, str]", reading["domain"]))  # type: ignore[arg-type]
            used, limit = cast("int", reading["used_bytes"]), cast("int", reading["limit_bytes"])
            shares[domain.name] = used / limit
        return shares, str(report["why_not"])

    def report(self, *, now_s: float = 0.0, verb: str = "read") -> Mapping[str, object]:
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        self.child.stdin.write(f"{verb} {now_s}\n")
        self.child.stdin.flush()
        return cast("dict[str, object]", json.loads(self.child.stdout.readline()))

    def domains(self) -> list[MemoryDomain]:
        readings = cast("list[dict[str, dict[str, str]]]", self.report()["readings"])
        return [MemoryDomain(**reading["domain"]) for reading in readings]  # type: ignore[arg-type]

    def end(self) -> None:
        assert self.child.stdin is not None
        self.child.stdin.close()
        assert self.child.wait(timeout=180) == 0
        assert self.child.stdout is not None
        self.child.stdout.close()


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the library once."""
    path = tmp_path_factory.mktemp("nvml") / "libnvidia-ml.so.1"
    assert COMPILER is not None
    flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-Wl,-soname,libnvidia-ml.so.1"]
    subprocess.run([COMPILER, *flags, "-o", str(path), str(SOURCE)], check=True, timeout=180)
    return path


@pytest.fixture
def driver(library: Path, tmp_path: Path) -> Iterator[FakeDriver]:
    fake = FakeDriver(tmp_path, library)
    try:
        yield fake
        fake.end()
    finally:
        fake.child.kill()
        fake.child.wait()


def test_each_gpu_is_read_apart_and_anew(driver: FakeDriver) -> None:
    assert driver.read() == ({"gpu0": 0.125, "gpu1": 0.75}, "")
    driver.set(gpu1_free=0, gpu0_free=80 * GIB)
    assert driver.read() == ({"gpu0": 0.0, "gpu1": 1.0}, "")


def test_a_gpu_is_known_by_its_uuid_and_address_so_that_llama_cpps_devices_find_it(
    driver: FakeDriver,
) -> None:
    first, second = driver.domains()
    assert (first.uuid, first.pci, second.uuid, second.pci) == (
        "GPU-aaaa",
        "0000:c1:00.0",
        "GPU-bbbb",
        "0001:41:00.0",
    )
    devices = [
        ComputeDevice(name="CUDA0", description="", kind="gpu", pci="0001:41:00.0"),
        ComputeDevice(name="CUDA1", description="", kind="gpu", pci="0000:c1:00.0"),
    ]
    assert match_devices(devices, (first, second)) == {"CUDA0": second, "CUDA1": first}


def test_a_gpu_whose_memory_cannot_be_told_hides_only_itself(driver: FakeDriver) -> None:
    driver.set(gpu0_nvmlDeviceGetMemoryInfo=3)
    assert driver.read() == ({"gpu1": 0.75}, "gpu0: Not Supported")
    driver.set(gpu0_nvmlDeviceGetMemoryInfo=None)
    assert driver.read() == ({"gpu0": 0.125, "gpu1": 0.75}, "")


def test_a_gpu_that_cannot_be_named_leaves_the_others(driver: FakeDriver) -> None:
    driver.set(gpu0_nvmlDeviceGetUUID=15)
    assert driver.read() == ({"gpu1": 0.75}, "gpu0: GPU is lost")
    assert driver.domains()[0].uuid == "GPU-bbbb"


def test_figures_that_cannot_be_are_not_believed(driver: FakeDriver) -> None:
    driver.set(gpu0_free=81 * GIB, gpu1_total=0, gpu1_free=0)
    shares, why_not = driver.read()
    assert shares == {}
    assert why_not.count("which cannot be") == 2


def test_a_gpu_that_falls_off_the_bus_hides_only_itself_and_is_looked_for_again(driver: FakeDriver) -> None:
    assert len(driver.read()[0]) == 2
    driver.set(gpu1_nvmlDeviceGetMemoryInfo=15)
    for now_s in (1, 29.9, 30):
        assert driver.read(now_s=now_s) == ({"gpu0": 0.125}, "gpu1: GPU is lost")
    driver.set(gpu1_nvmlDeviceGetUUID=15)
    assert driver.read(now_s=31) == ({"gpu0": 0.125}, "gpu1: GPU is lost")  # opened again
    driver.set(gpu1_nvmlDeviceGetMemoryInfo=None, gpu1_nvmlDeviceGetUUID=None, nvmlDeviceGetMemoryInfo=999)
    driver.read(now_s=61)
    driver.set(nvmlDeviceGetMemoryInfo=None)
    assert driver.read(now_s=61) == ({"gpu0": 0.125, "gpu1": 0.75}, "")


def test_a_driver_that_is_reloaded_is_opened_again(driver: FakeDriver) -> None:
    driver.set(nvmlInit_v2=9)
    assert driver.read() == ({}, "NVML: Driver Not Loaded")
    driver.set(nvmlInit_v2=None)
    assert driver.read(now_s=29) == ({}, "NVML: Driver Not Loaded")
    assert len(driver.read(now_s=30)[0]) == 2
    driver.set(nvmlDeviceGetMemoryInfo=9, nvmlShutdown=1, nvmlInit_v2=9)
    for now_s in (31, 60):
        assert driver.read(now_s=now_s) == ({}, "gpu0: Driver Not Loaded; gpu1: Driver Not Loaded")
    assert driver.read(now_s=61) == ({}, "NVML: Driver Not Loaded")
    driver.set(nvmlDeviceGetMemoryInfo=None, nvmlShutdown=None, nvmlInit_v2=None)
    assert len(driver.read(now_s=91)[0]) == 2


def test_a_closed_source_opens_at_the_next_reading(driver: FakeDriver) -> None:
    assert len(driver.read()[0]) == 2
    assert len(driver.read(verb="close")[0]) == 2


def test_a_count_that_fails_is_a_source_that_is_absent(driver: FakeDriver) -> None:
    driver.set(nvmlDeviceGetCount_v2=999)
    assert driver.read() == ({}, "NVML: Unknown Error")


def test_a_machine_without_a_gpu_says_so(driver: FakeDriver) -> None:
    driver.set(count=0)
    assert driver.read() == ({}, "NVML: there is no GPU")


def test_instances_of_a_cut_gpu_are_domains_of_their_own(driver: FakeDriver) -> None:
    driver.set(gpu0_mig=1, gpu1_mig=0)
    for part, free in ((0, 4), (3, 1)):
        driver.facts |= {
            f"0.mig.{part}.total": 10 * GIB,
            f"0.mig.{part}.free": free * GIB,
            f"0.mig.{part}.uuid": f"MIG-{part}",
        }
    driver.set()
    assert driver.read() == ({"gpu0:MIG-0": 0.6, "gpu0:MIG-3": 0.9, "gpu1": 0.75}, "")
    domains = driver.domains()
    assert [domain.uuid for domain in domains] == ["MIG-0", "MIG-3", "GPU-bbbb"]
    assert [domain.pci for domain in domains] == ["0000:c1:00.0", "0000:c1:00.0", "0001:41:00.0"]

"""llama.cpp's devices are matched with the GPUs that are read by their addresses, never by their order."""

from __future__ import annotations

import psutil
import pytest

from actorllama.native.memory import HOST, MemoryDomain
from actorllama.native.memory_devices import (
    BufferSize,
    ComputeDevice,
    domain_of,
    match_devices,
    occupied_bytes,
    parse_buffer_line,
    plain_pci,
)

ONE = MemoryDomain(kind="gpu", index=0, uuid="GPU-a", pci="0000:c1:00.0")
TWO = MemoryDomain(kind="gpu", index=1, uuid="MIG-a", pci="0000:41:00.0")
THREE = MemoryDomain(kind="gpu", index=2, uuid="MIG-b", pci="0000:41:00.0")


def gpu(name: str, pci: str | None) -> ComputeDevice:
    return ComputeDevice(name=name, description="", kind="gpu", pci=pci)


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("00000000:C1:00.0", "0000:c1:00.0"),
        ("0000:c1:00.0", "0000:c1:00.0"),
        (" 1:2:3.4\n", "0001:02:03.4"),
        ("00010000:00:1F.7", "10000:00:1f.7"),
        ("Nonsense", "nonsense"),
        ("", ""),
    ],
)
def test_an_address_is_written_one_way(written: str, plain: str) -> None:
    assert plain_pci(written) == plain
    assert plain_pci(plain) == plain


def test_what_is_no_gpu_of_its_own_uses_the_hosts_memory() -> None:
    devices = [
        ComputeDevice(name="CPU", description="", kind="cpu"),
        ComputeDevice(name="Vulkan0", description="", kind="integrated", pci="0000:c1:00.0"),
        ComputeDevice(name="BLAS", description="", kind="accelerator"),
    ]
    assert match_devices(devices, (ONE,)) == {"CPU": HOST, "Vulkan0": HOST, "BLAS": HOST}


def test_of_several_instances_the_visible_one_is_ours() -> None:
    devices = [gpu("CUDA0", "0000:41:00.0")]
    assert match_devices(devices, (ONE, TWO, THREE), visible="MIG-b")["CUDA0"] == THREE
    assert match_devices(devices, (ONE, TWO, THREE), visible="0")["CUDA0"] == TWO
    assert match_devices(devices, (ONE, TWO, THREE))["CUDA0"] == TWO


def test_a_gpu_that_nobody_reads_is_never_taken_for_another() -> None:
    matched = match_devices([gpu("CUDA1", "0000:ff:00.0"), gpu("Metal", None)], (ONE,))
    assert matched["CUDA1"] == MemoryDomain(kind="gpu", index=1, pci="0000:ff:00.0")
    assert matched["Metal"] == MemoryDomain(kind="gpu", index=0, pci="metal")


@pytest.mark.parametrize(
    ("line", "size"),
    [
        (
            "load_tensors:   CPU_Mapped model buffer size =     0.50 MiB",
            BufferSize(label="CPU_Mapped", what="model", n_bytes=524_288),
        ),
        (
            "llama_kv_cache:      CUDA0 KV buffer size =  1024.00 MiB\n",
            BufferSize(label="CUDA0", what="KV", n_bytes=1 << 30),
        ),
        (
            "llama_memory_recurrent:        CPU RS buffer size =     0.25 MiB",
            BufferSize(label="CPU", what="RS", n_bytes=1 << 18),
        ),
        (
            "sched_reserve:  CUDA_Host compute buffer size =     2.00 MiB",
            BufferSize(label="CUDA_Host", what="compute", n_bytes=1 << 21),
        ),
        (
            "llama_context:        CPU  output buffer size =     1.00 MiB",
            BufferSize(label="CPU", what="output", n_bytes=1 << 20),
        ),
        ("~llama_context:        CPU compute buffer size is  20.7598 MiB, matches expectation", None),
        ("llama_kv_cache: size =    2.00 MiB (  2048 cells,   2 layers,  4/4 seqs)", None),
        ("", None),
    ],
)
def test_a_line_about_a_buffer_is_read(line: str, size: BufferSize | None) -> None:
    assert parse_buffer_line(line) == size


def test_a_buffer_lies_where_its_type_says() -> None:
    matched = match_devices([gpu("CUDA0", ONE.pci)], (ONE,))
    labels = ("CUDA0", "CPU", "CPU_Mapped", "CUDA_Host")
    assert [domain_of(label, matched) for label in labels] == [ONE, HOST, HOST, HOST]


def test_what_a_model_occupies_is_added_up_for_each_domain() -> None:
    matched = match_devices([gpu("CUDA0", ONE.pci), gpu("CUDA1", TWO.pci)], (ONE, TWO))
    lines = [
        "load_tensors:   CPU_Mapped model buffer size =     1.00 MiB",
        "load_tensors:   CPU_REPACK model buffer size =     2.00 MiB",
        "load_tensors:        CUDA0 model buffer size =     4.00 MiB",
        "llama_kv_cache:      CUDA0 KV buffer size =     8.00 MiB",
        "llama_kv_cache:      CUDA1 KV buffer size =    16.00 MiB",
        "sched_reserve:  CUDA_Host compute buffer size =    32.00 MiB",
        "something else",
    ]
    mib = 1 << 20
    assert occupied_bytes(lines, matched) == {
        HOST: {"model": 3 * mib, "compute": 32 * mib},
        ONE: {"model": 4 * mib, "KV": 8 * mib},
        TWO: {"KV": 16 * mib},
    }


@pytest.mark.model
def test_this_builds_devices_are_listed_with_the_processor_among_them() -> None:
    from actorllama.native.llama.devices import list_devices

    devices = list_devices()
    (cpu,) = [device for device in devices if device.kind == "cpu"]
    assert cpu.name == "CPU"
    assert cpu.pci is None
    assert cpu.total_bytes is not None
    assert abs(cpu.total_bytes - psutil.virtual_memory().total) <= 1 << 20
    assert match_devices(devices, ())["CPU"] == HOST

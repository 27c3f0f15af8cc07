"""llama.cpp's compute threads, kept from step to step."""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections.abc import Callable
from functools import cache
from typing import Final, TypeAlias

from actorllama.native.llama.binding import LIBRARY_PATH, llama_cpp
from actorllama.native.llama.library import held_gil

__all__ = ["KeptThreads"]

_MAX_THREADS: Final = 512  # GGML_MAX_N_THREADS
_POLL: Final = 1
"""How long a thread spins for the next step before it sleeps, in units of a few ms; ggml's own value is 50.

With 0 the processor falls asleep while tokens are chosen, and wakes late: at 15M parameters the next step
takes 80 µs more (of 4.9 ms; 940 blocks of each in turns), at 0.5B perhaps 80 of 22 ms.
"""

_attach = held_gil("llama_attach_threadpool", restype=ctypes.c_int, argtypes=(ctypes.c_void_p,) * 3)
_FillParameters: TypeAlias = Callable[[object, int], object]
_CreatePool: TypeAlias = Callable[[object], int | None]
_FreePool: TypeAlias = Callable[[int], None]


class _PoolParameters(ctypes.Structure):
    """``ggml_threadpool_params``."""

    _fields_ = (
        ("cpumask", ctypes.c_bool * _MAX_THREADS),
        ("n_threads", ctypes.c_int),
        ("prio", ctypes.c_int),
        ("poll", ctypes.c_uint32),
        ("strict_cpu", ctypes.c_bool),
        ("paused", ctypes.c_bool),
        ("room", ctypes.c_char * 256),  # for what another build of llama.cpp may have behind it
    )


class _Pool:
    """A ``ggml_threadpool``: freed, and its threads ended, with the last reference."""

    def __init__(self, address: int, free: _FreePool) -> None:
        self.address = address
        # At exit the threads sleep and keep nobody; llama.cpp may be half gone by then.
        weakref.finalize(self, free, address).atexit = False


class KeptThreads:
    """The threads that help one context compute, made once for each thread that decodes.

    Left alone, ggml starts ``n_threads - 1`` threads in every ``llama_decode`` and ends them after it: 100 to
    250 µs of a step on two processors, 5 % at 15M parameters, 0 to 2 % at 0.5B (docs/benchmarks.md). A pool
    serves one caller at a time, so each decoding thread has its own, which its contexts share.

    Owner: the context; ``use`` is called by whoever decodes.
    """

    def __init__(self, handle: int, *, n_threads: int) -> None:
        """Keep the threads of this context; there is nothing to keep for a single one."""
        self._handle = handle
        self._n_threads = n_threads
        self._pool: _Pool | None = None
        self._left: list[_Pool] = []

    def use(self) -> None:
        """Make the calling thread's pool the one that computes; without pools in this build do nothing."""
        if self._n_threads < 2:
            return
        pool = _pool_of_this_thread(self._n_threads)
        if pool is None or pool is self._pool:
            return
        if self._pool is not None:
            self._left.append(self._pool)
        _attach(self._handle, pool.address, pool.address)
        self._pool = pool

    def computed(self) -> None:
        """Let go of pools left behind: llama.cpp pauses the one before when it computes with the next."""
        if self._left:
            self._left.clear()

    def let_go(self) -> None:
        """Forget all: the context is freed."""
        self._left.clear()
        self._pool = None


class _PoolsOfThread(threading.local):
    """By number of threads; they end with the thread, unless a context still knows them."""

    def __init__(self) -> None:
        self.pools: dict[int, _Pool] = {}


_pools_here = _PoolsOfThread()


def _pool_of_this_thread(n_threads: int) -> _Pool | None:
    pool = _pools_here.pools.get(n_threads)
    if pool is None:
        functions = _pool_functions()
        if functions is None:
            return None
        fill, create, free = functions
        parameters = _PoolParameters()
        fill(ctypes.byref(parameters), n_threads)
        if parameters.n_threads != n_threads or parameters.strict_cpu or parameters.paused:
            return None  # another build's parameters, in an order that we do not know
        parameters.poll = _POLL
        address = create(ctypes.byref(parameters))
        if not address:
            return None
        pool = _pools_here.pools[n_threads] = _Pool(address, free)
    return pool


@cache
def _pool_functions() -> tuple[_FillParameters, _CreatePool, _FreePool] | None:
    """Ask the CPU device that llama.cpp has loaded for its functions.

    Never load the file of that name: the wheel holds copies of each library, not links, and a second copy
    computes with tables that nobody filled, and slower (0.5B: 38 ms a step instead of 24).
    """
    if b"OPENMP = 1" in llama_cpp.llama_print_system_info():
        return None  # libgomp keeps its own
    ggml = ctypes.CDLL(LIBRARY_PATH)
    try:
        fill = ggml.ggml_threadpool_params_init
        by_type, registry, look_up = (
            ggml.ggml_backend_dev_by_type,
            ggml.ggml_backend_dev_backend_reg,
            ggml.ggml_backend_reg_get_proc_address,
        )
    except AttributeError:
        return None
    fill.argtypes, fill.restype = [ctypes.c_void_p, ctypes.c_int], None
    by_type.argtypes, by_type.restype = [ctypes.c_int], ctypes.c_void_p
    registry.argtypes, registry.restype = [ctypes.c_void_p], ctypes.c_void_p
    look_up.argtypes, look_up.restype = [ctypes.c_void_p, ctypes.c_char_p], ctypes.c_void_p
    device = by_type(0)  # the CPU
    if not device:
        return None
    create, free = (
        look_up(registry(device), name) for name in (b"ggml_threadpool_new", b"ggml_threadpool_free")
    )
    if not create or not free:
        return None
    return (
        fill,
        ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(create),
        ctypes.CFUNCTYPE(None, ctypes.c_void_p)(free),
    )

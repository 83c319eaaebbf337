"""Compiled loops: Numba's njit with a cache that is found wherever pghot is installed."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

Loop = Callable[..., Any]
"""What `compiled` gives: types inside a loop are Numba's to find, not mypy's."""


def compiled(function: Loop) -> Loop:
    """Compile `function` at its first call and keep the machine code between runs.

    Numba keeps it beside the source, or in the user's cache directory where the package is
    read-only.  Where neither can be written (a service account without a home) it is kept
    in a directory of this user under the temporary directory.
    """
    loop: Loop
    try:
        loop = numba.njit(cache=True)(function)
    except RuntimeError:  # Numba found no place to write
        loop = _compiled_elsewhere(function)
    _drop_with_sources(loop, Path(function.__code__.co_filename).parent)
    return loop


def _drop_with_sources(loop: Loop, directory: Path) -> None:
    """Have what is kept of a loop dropped when a source beside it, or of the engine, changes.

    Numba looks at the loop's own file alone, though loops and constants of others are
    compiled into it, and has no public way to say more.
    """
    kept: Any = getattr(getattr(loop, "_cache", None), "_cache_file", None)
    stamp = getattr(kept, "_source_stamp", None)
    if stamp is not None:
        digests = _digest(Path(__file__).parent), _digest(directory)
        kept._source_stamp = (stamp, *digests)  # noqa: SLF001 - as said


@lru_cache
def _digest(directory: Path) -> str:
    """Give a digest of the sources in a directory."""
    digest = sha256()
    for source in sorted(directory.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def _compiled_elsewhere(function: Loop) -> Loop:
    directory = _private_directory()
    if directory is None:
        return numba.njit(function)
    config: Any = numba.config
    before = config.CACHE_DIR
    config.CACHE_DIR = str(directory)
    try:
        return numba.njit(cache=True)(function)
    finally:
        config.CACHE_DIR = before


def _private_directory() -> Path | None:
    """Give this user's own cache directory, or None where somebody else holds its name.

    The cache is code that will be run, so nobody else may be able to write there.
    """
    path = Path(tempfile.gettempdir()) / f"pghot-{os.getuid()}"
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        status = path.lstat()
    except OSError:
        return None
    ours = status.st_uid == os.getuid() and stat.S_ISDIR(status.st_mode)
    return path if ours and not status.st_mode & 0o077 else None


def _prefetch(_typing: Any, array: Any, _index: Any) -> Any:

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        byte_pointer = ir.IntType(8).as_pointer()
        address = builder.bitcast(builder.gep(data, [arguments[1]]), byte_pointer)
        i32 = ir.IntType(32)
        prefetch_type = ir.FunctionType(ir.VoidType(), [byte_pointer, i32, i32, i32])
        # Named without the pointer's element type: LLVM's pointers have none since 15.
        function = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
            builder.module, prefetch_type, "llvm.prefetch.p0"
        )
        write, keep_in_all_levels, data_cache = (ir.Constant(i32, n) for n in (1, 3, 1))
        builder.call(function, [address, write, keep_in_all_levels, data_cache])
        return context.get_dummy_value()

    return types.void(array, types.uint64), codegen


prefetch: Loop = intrinsic(_prefetch)
"""`prefetch(array, index)` asks the processor for that cache line, soon to be written."""


def _trailing_zeros(_typing: Any, _word: Any) -> Any:

    def codegen(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), codegen


trailing_zeros: Loop = intrinsic(_trailing_zeros)
"""`trailing_zeros(word)` counts the zero bits below the lowest one that is set; 64 for 0."""

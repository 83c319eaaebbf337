"""Dask's workers as an executor (extra `pghot[dask]`)."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

from pghot.errors import InputError, PghotError

WAIT_S = 10
"""How long a scheduler may take to answer."""

RETRIES = 3
"""How often a group is run again whose worker died."""


@contextmanager
def dask_executor(address: str) -> Iterator[Executor]:
    """An executor on the workers of the scheduler at `address`, as `tcp://host:8786`.

    InputError where there is none, or it has no worker.
    """
    try:
        from distributed import Client  # noqa: PLC0415 - an extra
    except ImportError:
        raise PghotError(
            "--dask needs the package distributed: pip install 'pghot[dask]'"
        ) from None
    try:
        client = Client(address, timeout=WAIT_S, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        why = " ".join(str(error).split()) or "it does not answer"
        raise InputError(f"--dask {address}: no scheduler: {why}") from error
    with client:
        if not client.scheduler_info(n_workers=-1)["workers"]:
            raise InputError(f"--dask {address}: the scheduler has no worker; start some")
        with client.get_executor(retries=RETRIES, pure=False) as executor:
            yield executor

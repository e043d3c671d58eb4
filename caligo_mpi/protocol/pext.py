"""Selecting bits by the instruction that x86 has for it (``pext``, BMI2), reached through numba.

Importing this raises `ImportError` where there is no numba or no such instruction.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import binding, ir
from numba.extending import intrinsic
from numpy.typing import NDArray

from ..machine.jit import compiler

_jit = compiler(__file__)
_settings: Any = numba.config
# Asked to compile for another CPU, LLVM would end the process at this instruction.
_is_host = _settings.CPU_NAME is None and _settings.CPU_FEATURES is None

if not (_is_host and binding.get_host_cpu_features().get("bmi2")):
    raise ImportError("this CPU has no pext instruction")


def gather(words: NDArray[np.uint64], mask: NDArray[np.uint64], out: NDArray[np.uint64]) -> None:
    """Write the bits of ``words`` where ``mask`` is 1 into ``out``, end to end; it has a word to spare."""
    dense_words = np.require(words, requirements=["C", "W"])
    dense_mask = np.require(mask, requirements=["C", "W"])
    _gather(dense_words, dense_mask, out)


def _extraction(context: Any, word: Any, mask: Any) -> Any:
    def code(
        context: Any,
        builder: Any,
        signature: Any,
        args: Any,
    ) -> Any:
        number = ir.IntType(64)
        kind = ir.FunctionType(number, [number, number])
        extract = builder.module.declare_intrinsic("llvm.x86.bmi.pext.64", fnty=kind)
        return builder.call(extract, args)

    signature = numba.uint64(numba.uint64, numba.uint64)
    return signature, code


def _counting(context: Any, word: Any) -> Any:
    def code(
        context: Any,
        builder: Any,
        signature: Any,
        args: Any,
    ) -> Any:
        (word,) = args
        return builder.ctpop(word)

    signature = numba.uint64(numba.uint64)
    return signature, code


_extract: Any = intrinsic(_extraction)
_count: Any = intrinsic(_counting)


@_jit("void(uint64[::1], uint64[::1], uint64[::1])")
def _gather(words: Any, mask: Any, out: Any) -> None:
    full = np.uint64(0)  # words written
    used = np.uint64(0)  # bits of the next one
    begun = np.uint64(0)  # the next one
    for i in range(len(mask)):
        bits = _extract(words[i], mask[i])
        begun |= bits << used
        out[full] = begun
        free = np.uint64(63) - used
        rest = (bits >> free) >> np.uint64(1)  # a shift by 64 is void
        used += _count(mask[i])
        begun = rest if used >= np.uint64(64) else begun
        full += used >> np.uint64(6)
        used &= np.uint64(63)
    out[full] = begun

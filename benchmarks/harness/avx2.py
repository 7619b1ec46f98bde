"""A process in which the processor seems to end at AVX2. Linux on x86-64, where CPUID can be made to fault.

ONNX Runtime (MLAS) has no switch for that, it asks the instruction CPUID. So that is made to fault in this process, and
whoever executes it is answered without AVX-512, AMX and AVX-VNNI. What was loaded before has decided already: the C
library is told by its own variable, Numba by its own, see `environment`.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
import signal
import struct
import sys
from typing import Any

ARCH_PRCTL, ARCH_SET_CPUID = 158, 0x1012  # asm/unistd_64.h, asm/prctl.h
SA_SIGINFO = 4
GREGS, RBX, RDX, RAX, RCX, RIP = 40, 11, 12, 13, 14, 16  # where a ucontext_t keeps registers: sys/ucontext.h
CPUID = b"\x0f\xa2"
# void real(uint32_t leaf, uint32_t subleaf, uint32_t out[4]): push rbx; mov eax, edi; mov ecx, esi; mov r8, rdx; cpuid;
# mov [r8], eax; mov [r8+4], ebx; mov [r8+8], ecx; mov [r8+12], edx; pop rbx; ret
REAL = bytes.fromhex("53 89f8 89f1 4989d0 0fa2 418900 41895804 41894808 4189500c 5b c3")
# (leaf, subleaf) -> bits that are hidden of eax, ebx, ecx, edx: Intel's manual, volume 2, CPUID
HIDDEN = {
    (7, 0): (
        0,
        sum(1 << bit for bit in (16, 17, 21, 26, 27, 28, 30, 31)),  # AVX512F DQ IFMA PF ER CD BW VL
        sum(1 << bit for bit in (1, 6, 11, 12, 14)),  # AVX512 VBMI VBMI2 VNNI BITALG VPOPCNTDQ
        sum(1 << bit for bit in (2, 3, 8, 22, 23, 24, 25)),  # AVX512 4VNNIW 4FMAPS VP2INTERSECT FP16, AMX
    ),
    (7, 1): (sum(1 << bit for bit in (4, 5, 21, 23)), 0, 0, sum(1 << bit for bit in (4, 5, 8, 10, 19))),  # VNNI, AVX10
}
_kept: list[Any] = []  # the handler and its code, for as long as the process lives


def environment(kernel_cache: str) -> dict[str, str]:
    """Variables for a process that is to call `hide`; `kernel_cache`: a folder of its own for Numba's machine code."""
    hidden = ("F", "CD", "ER", "PF", "VL", "DQ", "BW")
    return {
        "NUMBA_CPU_NAME": "haswell",
        "NUMBA_CPU_FEATURES": "+avx,+avx2,+fma,+bmi,+bmi2,+f16c,+lzcnt,+movbe,+popcnt,+sse4.1,+sse4.2,+ssse3,+sse3",
        "NUMBA_CACHE_DIR": kernel_cache,
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=" + ",".join(f"-AVX512{part}" for part in hidden),
    }


def hide() -> bool:
    """From now on no library that is loaded sees more than AVX2; False where this machine does not let CPUID fault."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(REAL)
    address = ctypes.addressof(ctypes.c_char.from_buffer(code))
    real = ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p)(address)
    libc = ctypes.CDLL(None)

    def faults(on: bool) -> bool:
        return libc.syscall(ARCH_PRCTL, ARCH_SET_CPUID, ctypes.c_ulong(not on)) == 0

    def answer(number: int, info: int, context: int) -> None:
        registers = (ctypes.c_uint64 * 17).from_address(context + GREGS)
        if ctypes.string_at(registers[RIP], 2) != CPUID:  # a real fault: the instruction runs again, and ends us
            signal.signal(signal.SIGSEGV, signal.SIG_DFL)
            return
        leaf, subleaf = registers[RAX] & 0xFFFFFFFF, registers[RCX] & 0xFFFFFFFF
        out = (ctypes.c_uint32 * 4)()
        faults(False)
        real(leaf, subleaf, ctypes.addressof(out))
        faults(True)
        hidden = HIDDEN.get((leaf, subleaf), (0, 0, 0, 0))
        for register, value, bits in zip((RAX, RBX, RCX, RDX), out, hidden, strict=True):
            registers[register] = value & ~bits
        registers[RIP] += len(CPUID)

    handler = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(answer)
    # struct sigaction of the C library: handler, 128 bytes of mask, flags, restorer
    action = struct.pack("P128si4xP", ctypes.cast(handler, ctypes.c_void_p).value, b"", SA_SIGINFO, 0)
    _kept.extend((code, real, handler))
    return libc.sigaction(signal.SIGSEGV, action, None) == 0 and faults(True)
